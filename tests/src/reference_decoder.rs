//! A decoder of PROXY headers that is not ours: the Python package `proxy-protocol`. It also checks
//! the checksum.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::child;

/// Names the folder in which `cargo xtask` has installed the package.
const FOLDER: &str = "AOP_PROXY_DECODER";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/decoder/decode.py");

/// The decoder.
#[derive(Clone, Debug)]
pub struct ReferenceDecoder {
    packages: OsString,
}

/// The fields of a header.
#[derive(Clone, Debug)]
pub struct DecodedHeader(Value);

impl ReferenceDecoder {
    /// The decoder, if it is installed.
    #[must_use]
    pub fn installed() -> Option<Self> {
        let packages = std::env::var_os(FOLDER)?;
        std::path::Path::new(&packages).is_dir().then_some(Self { packages })
    }

    /// Decodes the first bytes of a connection.
    ///
    /// # Errors
    /// When the decoder rejects them.
    pub fn read(&self, bytes: &[u8]) -> Result<DecodedHeader> {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1").arg(SCRIPT);
        let decoded = child::finish(python, bytes, Duration::from_secs(30))?.success()?;
        Ok(DecodedHeader(decoded.json()?))
    }
}

impl DecodedHeader {
    /// A text field, if the header has it.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }

    /// A numeric field.
    ///
    /// # Errors
    /// When it is missing.
    pub fn number(&self, field: &str) -> Result<u64> {
        self.0[field].as_u64().with_context(|| format!("{field} in {}", self.0))
    }

    /// Whether a boolean field is true.
    #[must_use]
    pub fn holds(&self, field: &str) -> bool {
        self.0[field] == Value::Bool(true)
    }

    /// The address in `field`: `source` or `destination`.
    ///
    /// # Errors
    /// When it is missing.
    pub fn address(&self, field: &str) -> Result<SocketAddr> {
        let address: IpAddr = self.0[field][0].as_str().context("no address")?.parse()?;
        let port = self.0[field][1].as_u64().context("no port")?;
        Ok(SocketAddr::new(address, port.try_into()?))
    }
}
