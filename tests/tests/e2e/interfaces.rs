//! Interfaces that come and go, other programs on them, and several at once.

mod attach_modes;
mod auto;
mod lost;
pub(crate) mod other_programs;
mod reloaded;
mod several;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::status::InterfaceEntry;
use aop_tests::{IpVersion, Lab, Netns, Pull, StatusJson, TestDaemon, child, wait};

use crate::stage::{SOON, Stage};

/// A second, and as much again for a busy machine.
pub(super) const A_SECOND: Duration = Duration::from_secs(2);

/// The origin's addresses and routes on an `eth0` that has just come.
pub(super) const ADDRESSES: &str = "link set eth0 up\n\
                         address replace 203.0.113.10/24 dev eth0\n\
                         address replace 2001:db8:0:10::10/64 dev eth0 nodad\n\
                         route replace default via 203.0.113.1\n\
                         route replace default via 2001:db8:0:10::1\n";

/// Runs `ip -batch` over `lines`.
pub(super) fn ip(netns: &Netns, lines: &str) -> Result<()> {
    let mut command = netns.command("ip");
    command.args(["-batch", "-"]);
    child::finish(command, lines.as_bytes(), SOON)?.success()?;
    Ok(())
}

/// Waits until `name` stands as `state`, and says how.
pub(crate) fn becomes(daemon: &TestDaemon, name: &str, state: &str) -> Result<InterfaceEntry> {
    let mut last = None;
    wait::until(&format!("{name} is {state}"), A_SECOND, || {
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

pub(super) fn strangers_meet_silence(stage: &Stage) -> Result<()> {
    IpVersion::BOTH.into_iter().try_for_each(|family| {
        stage.silences(&Pull::by_stranger(&stage.lab, family), "unknown_source")
    })
}

/// The links that are pinned for an interface.
pub(super) fn pinned(stage: &Stage, interface: &str) -> Result<Vec<PathBuf>> {
    let layout = stage.config.pins.join(format!("v{}", aop_common::layout::LAYOUT_VERSION));
    let mut found = Vec::new();
    for entry in fs::read_dir(layout)? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        if name.starts_with("link-") && name.ends_with(interface) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Another link between origin and internet.
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
