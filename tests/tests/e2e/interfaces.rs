//! Guarded interfaces: they appear and disappear, other programs use them, and there are several.

mod attach_modes;
mod auto;
mod lost;
pub(crate) mod other_programs;
mod reloaded;
mod several;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::status::InterfaceEntry;
use aop_tests::{Lab, StatusJson, TestDaemon, wait};

use crate::stage::Stage;

/// aop checks the interfaces every second. This leaves as much again for a busy machine.
pub(super) const ONE_CHECK: Duration = Duration::from_secs(2);

/// `ip -batch` lines: the addresses and routes of the origin for a new `eth0`.
pub(crate) const ADDRESSES: &str = "link set eth0 up\n\
                         address replace 203.0.113.10/24 dev eth0\n\
                         address replace 2001:db8:0:10::10/64 dev eth0 nodad\n\
                         route replace default via 203.0.113.1\n\
                         route replace default via 2001:db8:0:10::1\n";

/// Waits until the interface `name` is in `state`, and returns its entry.
pub(crate) fn becomes(daemon: &TestDaemon, name: &str, state: &str) -> Result<InterfaceEntry> {
    let mut last = None;
    wait::until(&format!("{name} is {state}"), ONE_CHECK, || {
        last = daemon.status().ok()?.interface(name).ok()?;
        last.clone().filter(|interface| interface.state == state)
    })
    .with_context(|| format!("{last:?}\n{}", daemon.log()))
}

pub(super) fn warned(status: &StatusJson, words: &[&str]) -> Result<()> {
    let warnings = status.warnings()?;
    let fits = |warning: &&String| words.iter().all(|word| warning.contains(word));
    ensure!(warnings.iter().find(fits).is_some(), "no warning of {words:?}: {warnings:?}");
    Ok(())
}

/// The pinned links of an interface.
pub(super) fn pinned(stage: &Stage, interface: &str) -> Result<Vec<PathBuf>> {
    stage.config.pinned_links(interface)
}

/// Adds a second link between origin and router.
pub(crate) fn second_uplink(lab: &Lab, name: &str) -> Result<()> {
    let link = format!(
        "link add {name} type veth peer name origin2 netns {}\n\
         link set {name} up\n\
         address add 203.0.114.10/24 dev {name}\n",
        lab.router().name()
    );
    lab.origin().ip(&link)?;
    lab.router().ip("link set origin2 up\naddress add 203.0.114.1/24 dev origin2\n")
}
