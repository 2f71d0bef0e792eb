//! Interfaces that disappear, and links that are removed from them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Lab, Pull, child, wait};

use super::{ADDRESSES, ONE_CHECK, becomes, pinned, warned};
use crate::stage::{SOON, on_stage};

#[test]
fn an_interface_that_disappears_and_returns_is_guarded_again_with_its_counters() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let drops = stage.daemon.status()?.dropped_on("eth0")?;
        for _ in 0..3 {
            stage.lab.origin().ip("link delete eth0\n")?;
            let gone = becomes(&stage.daemon, "eth0", "missing")?;
            ensure!(!gone.enforcing && gone.attach.is_none(), "{gone:?}");
            let status = stage.daemon.status()?;
            warned(&status, &["eth0", "does not exist"])?;
            ensure!(status.dropped_on("eth0")? >= drops);
            ensure!(pinned(stage, "eth0")?.is_empty(), "a zombie pin stays");
            bring_back(&stage.lab)?;
            becomes(&stage.daemon, "eth0", "attached")?;
        }
        ensure!(stage.daemon.status()?.dropped_on("eth0")? >= drops);
        stage.silences_strangers()?;
        let warnings = stage.daemon.log().matches("the interface is gone").count();
        ensure!(warnings == 3, "told {warnings} times");
        Ok(())
    });
}

fn bring_back(lab: &Lab) -> Result<()> {
    let link = format!("link add eth0 type veth peer name origin netns {}\n", lab.router().name());
    lab.origin().ip(&link)?;
    lab.router().ip("link set origin up\n\
         address add 203.0.113.1/24 dev origin\n\
         address add 2001:db8:0:10::1/64 dev origin nodad\n")?;
    lab.origin().ip(ADDRESSES)
}

#[test]
fn a_renamed_interface_stays_guarded_and_is_found_when_renamed_back() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let rename = |from: &str, to: &str| {
            stage
                .lab
                .origin()
                .ip(&format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n"))
        };
        rename("eth0", "lan.7")?;
        becomes(&stage.daemon, "eth0", "missing")?;
        stage.lab.origin().ip(&ADDRESSES.replace("eth0", "lan.7"))?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        rename("lan.7", "eth0")?;
        becomes(&stage.daemon, "eth0", "attached")?;
        stage.lab.origin().ip(ADDRESSES)?;
        stage.silences_strangers()
    });
}

#[test]
fn an_interface_that_goes_down_and_up_stays_attached() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let before = pinned(stage, "eth0")?;
        stage.lab.origin().ip("link set eth0 down\n")?;
        std::thread::sleep(Duration::from_millis(300));
        becomes(&stage.daemon, "eth0", "attached")?;
        stage.lab.origin().ip(ADDRESSES)?;
        ensure!(pinned(stage, "eth0")? == before);
        stage.silences_strangers()
    });
}

#[test]
fn a_link_that_is_removed_is_created_again() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let [pin] = &pinned(stage, "eth0")?[..] else { anyhow::bail!("not one pin") };
        fs::remove_file(pin)?;
        wait::until("another link is pinned", ONE_CHECK, || pin.exists().then_some(()))?;
        becomes(&stage.daemon, "eth0", "attached")?;
        stage.silences_strangers()?;

        let mut detach = std::process::Command::new("bpftool");
        detach.args(["link", "detach", "pinned"]).arg(pin);
        child::finish(detach, &[], SOON)?.success()?;
        becomes(&stage.daemon, "eth0", "attached")?;
        stage.silences_strangers()
    });
}

#[test]
fn an_error_while_the_pins_are_read_is_no_unload() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        let pid = stage.daemon.pid().context("a daemon")?;
        let limit = |most: &str| {
            let mut prlimit = std::process::Command::new("prlimit");
            prlimit.args(["--pid", &pid.to_string(), &format!("--nofile={most}:")]);
            child::finish(prlimit, &[], SOON)?.success()
        };
        limit("3")?;
        stage.daemon.wait_for_log("cannot follow the interfaces")?;
        limit("1024")?;
        stage.lab.origin().ip("link delete eth0\n")?;
        bring_back(&stage.lab)?;
        becomes(&stage.daemon, "eth0", "attached")?;
        ensure!(!stage.daemon.log().contains("was unloaded"), "{}", stage.daemon.log());
        stage.silences_strangers()
    });
}
