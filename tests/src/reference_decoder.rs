//! A PROXY header as somebody else's decoder reads it: the Python package `proxy-protocol`, which
//! also checks the sum.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::child;

/// Where `cargo xtask` has installed the package.
const FOLDER: &str = "AOP_PROXY_DECODER";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/decoder/decode.py");

/// The decoder, where it is installed.
#[derive(Clone, Debug)]
pub struct Decoder {
    packages: OsString,
}

/// What a header says.
#[derive(Clone, Debug)]
pub struct Decoded(Value);

impl Decoder {
    /// The decoder, if it is installed.
    #[must_use]
    pub fn installed() -> Option<Self> {
        let packages = std::env::var_os(FOLDER)?;
        std::path::Path::new(&packages).is_dir().then_some(Self { packages })
    }

    /// Reads the beginning of a connection.
    ///
    /// # Errors
    /// The decoder finds it faulty.
    pub fn read(&self, bytes: &[u8]) -> Result<Decoded> {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1").arg(SCRIPT);
        let told = child::finish(python, bytes, Duration::from_secs(30))?;
        ensure!(told.code == 0, "{}", told.errors);
        Ok(Decoded(serde_json::from_slice(&told.output)?))
    }
}

impl Decoded {
    /// A field that is text, if it is there.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }

    /// A field that is a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, field: &str) -> Result<u64> {
        self.0[field].as_u64().with_context(|| format!("{field} in {}", self.0))
    }

    /// Whether a field is said to hold.
    #[must_use]
    pub fn holds(&self, field: &str) -> bool {
        self.0[field] == Value::Bool(true)
    }

    /// `source` or `destination`.
    ///
    /// # Errors
    /// There is none.
    pub fn end(&self, field: &str) -> Result<SocketAddr> {
        let address: IpAddr = self.0[field][0].as_str().context("no address")?.parse()?;
        let port = self.0[field][1].as_u64().context("no port")?;
        Ok(SocketAddr::new(address, port.try_into()?))
    }
}
