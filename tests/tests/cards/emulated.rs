//! Each emulated card, at two MTUs: native where its driver supports it, else generic.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use aop_tests::shapes::PacketTable;
use aop_tests::{AopToml, IpVersion, Lab, TestDaemon, TestUpstream};
use nix::mount::{MsFlags, mount, umount};

use crate::card::{Card, kernel, set_mtu};
use crate::guarded::{config, edge_is_served, is_guarded, measured};

/// The first kernel whose driver attaches natively at an MTU of 1500 and at one of 9000.
struct NativeSince {
    usual: Option<(u32, u32)>,
    jumbo: Option<(u32, u32)>,
}

const ALWAYS: Option<(u32, u32)> = Some((6, 1));
const USUAL: u16 = 1500;
const JUMBO: u16 = 9000;
const LINK: [&str; 2] = ["eth0", "origin"];

fn claim(name: &'static str, driver: &'static str, native: NativeSince) {
    let card = Card { name, driver };
    let judged = card.lab(USUAL).and_then(|lab| {
        let table = measured(&lab, LINK)?;
        for (mtu, since) in [(USUAL, native.usual), (JUMBO, native.jumbo)] {
            let native = kernel()? >= since.unwrap_or((u32::MAX, 0));
            // vmxnet3 shows that a restart copes with a larger MTU. virtio_net does not even give
            // a program back with one, before Linux 6.3.
            if name != "vmxnet3" {
                unload(&lab)?;
            }
            set_mtu(&lab, mtu)?;
            let at = || format!("with an MTU of {mtu}");
            if !native {
                refuses_native(&lab, driver).with_context(at)?;
            }
            let mode = if native { "native" } else { "generic" };
            println!("{name}, MTU {mtu}: {mode}");
            // Without aop, too, QEMU's vmxnet3 receives no frame that takes several buffers.
            let transfers = name != "vmxnet3" || mtu == USUAL;
            attaches(&lab, &table, mode, transfers).with_context(at)?;
        }
        Ok(())
    });
    judged.unwrap_or_else(|error| panic!("{name}: {error:#}"));
}

/// Detaches what an earlier daemon has left.
fn unload(lab: &Lab) -> Result<()> {
    TestDaemon::with_config(lab, &config(lab))?.verb(&["unload"]).map(drop)
}

/// A configuration that asks for the native mode is refused, with the reason and the cure.
fn refuses_native(lab: &Lab, driver: &str) -> Result<()> {
    let config = AopToml { attach: "native", ..config(lab) };
    let mut daemon = TestDaemon::with_config(lab, &config)?;
    let (code, log) = daemon.run_to_end()?;
    ensure!(code != 0, "it was not refused: {log}");
    println!("{}", log.trim_end());
    let driver = driver.split('_').next().unwrap_or(driver);
    for part in ["eth0", "native", driver, "firewall.attach"] {
        ensure!(log.contains(part), "{part:?} is not in: {log}");
    }
    Ok(())
}

/// `auto` attaches in this mode, and the origin is guarded.
fn attaches(lab: &Lab, table: &PacketTable, mode: &str, transfers: bool) -> Result<()> {
    let _listener = TestUpstream::listening(lab, "[::]:443")?;
    let daemon = TestDaemon::start(lab, &config(lab))?;
    let status = daemon.status()?;
    let attach = &status.json()["interfaces"][0]["attach"];
    ensure!(attach == mode, "attached in {attach} mode: {}", daemon.log());
    is_guarded(lab, table, LINK)?;
    if transfers { edge_is_served(lab) } else { Ok(()) }
}

#[test]
fn virtio_with_one_queue() {
    claim("virtio", "virtio_net", NativeSince { usual: ALWAYS, jumbo: Some((6, 3)) });
}

#[test]
fn virtio_with_several_queues() {
    claim("virtio-queues", "virtio_net", NativeSince { usual: ALWAYS, jumbo: Some((6, 3)) });
}

#[test]
fn virtio_without_mergeable_buffers() {
    claim("virtio-buffers", "virtio_net", NativeSince { usual: None, jumbo: None });
}

#[test]
fn e1000e() {
    claim("e1000e", "e1000e", NativeSince { usual: None, jumbo: None });
}

#[test]
fn igb() {
    claim("igb", "igb", NativeSince { usual: ALWAYS, jumbo: None });
}

#[test]
fn vmxnet3() {
    claim("vmxnet3", "vmxnet3", NativeSince { usual: Some((6, 6)), jumbo: None });
}

/// Under the features of another card, aop attaches natively to the card whose driver then runs no
/// program. Doctor compares the packets of the card with those that the program counted.
#[test]
fn doctor_names_virtio_buffers_whose_driver_runs_no_program() {
    let card = Card { name: "virtio-buffers", driver: "virtio_net" };
    let judged = card.lab(USUAL).and_then(|lab| {
        let _features = Features::of_every_card()?;
        let daemon = TestDaemon::start(&lab, &config(&lab))?;
        let attach = daemon.status()?.json()["interfaces"][0]["attach"].clone();
        ensure!(attach == "native", "attached in {attach} mode: {}", daemon.log());
        let stop = AtomicBool::new(false);
        let origin = lab.origin_at(IpVersion::V4, 443);
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Nothing listens there: each attempt is a packet, and a RST that comes back.
                    lab.stranger().connect(origin, Duration::from_secs(1)).ok();
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let report = daemon.verb(&["doctor"]).map(|verb| verb.text());
            stop.store(true, Ordering::Relaxed);
            report
        })?;
        println!("{report}");
        ensure!(report.contains("judged none of them"), "doctor does not see it");
        Ok(())
    });
    judged.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Every virtio device shows all features, until this is dropped.
struct Features(Vec<PathBuf>);

impl Features {
    fn of_every_card() -> Result<Self> {
        let all = Path::new("/tmp/features");
        fs::write(all, format!("{}\n", "1".repeat(64)))?;
        let mut mounted = Self(Vec::new());
        for device in fs::read_dir("/sys/bus/virtio/devices")? {
            let features = device?.path().join("features").canonicalize()?;
            mount(Some(all), &features, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            mounted.0.push(features);
        }
        Ok(mounted)
    }
}

impl Drop for Features {
    fn drop(&mut self) {
        for path in &self.0 {
            umount(path).ok();
        }
    }
}
