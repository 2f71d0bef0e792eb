//! xdp-filter of xdp-tools, configured to admit what aop admits. It matches addresses, not
//! prefixes, so one address stands for the list.

use std::{
    io::Write,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use aop_packets::Scene;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::host::{IN, is_there, run, tried};

pub(crate) const PACKAGE: &str = "xdp-filter: not installed (Debian package xdp-tools): left out";

/// xdp-filter on the receiving end. Dropping the value unloads it.
pub(crate) struct XdpFilter;

impl XdpFilter {
    /// Loads xdp-filter.
    ///
    /// # Errors
    /// The reason why it cannot be measured here.
    pub(crate) fn attach() -> Result<Self, String> {
        if !is_there("xdp-filter") {
            return Err(PACKAGE.to_owned());
        }
        let failed = |said: String| format!("xdp-filter: {}: left out", said.trim());
        tried(&format!("xdp-filter load --policy deny --features tcp,ipv4,ipv6 {IN}"))
            .map_err(failed)?;
        let Scene { v4, v6, unguarded, .. } = Scene::FIXED;
        let (v4, v6) = (Ipv4Addr::from(v4.admitted), Ipv6Addr::from(v6.admitted));
        run(&format!("xdp-filter ip --mode src {v4}"));
        run(&format!("xdp-filter ip --mode src {v6}"));
        run(&format!("xdp-filter port --mode dst --proto tcp {unguarded}"));
        Ok(Self)
    }

    /// The mean duration of a run of the attached program, including its dispatcher. Uses bpftool,
    /// because aya runs only programs that it has loaded or opened from a pin.
    pub(crate) fn repeat(&self, frame: &[u8], times: u32) -> Duration {
        let link = answer(&format!("ip -json link show dev {IN}"));
        let id = link.pointer("/0/xdp/prog/id").expect("it is attached");
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(frame).unwrap();
        let path = file.path().display();
        let ran = answer(&format!("bpftool -j prog run id {id} data_in {path} repeat {times}"));
        Duration::from_nanos(ran.get("duration").and_then(Value::as_u64).unwrap())
    }
}

/// The JSON output of a command.
fn answer(line: &str) -> Value {
    let text = tried(line).unwrap_or_else(|said| panic!("{line}: {said}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
}

impl Drop for XdpFilter {
    fn drop(&mut self) {
        run("xdp-filter unload --all");
    }
}
