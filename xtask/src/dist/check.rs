//! Tests the package in a clean root: installation, observing, upgrade under a running daemon,
//! removal, purge. Then the same from a signed repository.

mod documents;
mod repository;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{host::Host, newer::newer, units};
use crate::{debian::Release, packages, privilege::Privilege};

const PATIENCE: Duration = Duration::from_secs(20);

/// Files that the package installs and a removal deletes.
const BROUGHT: [&str; 13] = [
    "/usr/bin/aop",
    "/usr/lib/systemd/system/aop.service",
    "/usr/lib/systemd/system/aop-early.service",
    "/usr/lib/systemd/system/aop-renew.service",
    "/usr/lib/systemd/system/aop-renew.timer",
    "/usr/share/man/man1/aop.1.gz",
    "/usr/share/bash-completion/completions/aop",
    "/usr/share/zsh/vendor-completions/_aop",
    "/usr/share/doc/aop/packaging/monitoring/alerts.yaml",
    "/usr/share/doc/aop/packaging/monitoring/dashboard-fleet.json",
    "/usr/share/doc/aop/packaging/fleet/etcd-roles.sh",
    "/usr/share/doc/aop/packaging/container/daemonset.yaml",
    "/usr/share/doc/aop/packaging/ansible/roles/aop/tasks/main.yml",
];
const CONFIGURATION: &str = "/etc/aop/aop.toml";

/// The links that start the units at boot.
const ENABLED: [&str; 3] = [
    "/etc/systemd/system/multi-user.target.wants/aop.service",
    "/etc/systemd/system/sysinit.target.wants/aop-early.service",
    "/etc/systemd/system/timers.target.wants/aop-renew.timer",
];

/// `for_arm64` is the package for arm64, if there is one.
pub(super) fn run(package: &Path, for_arm64: Option<&Path>) -> Result<()> {
    ensure!(Privilege::current()?.is_root(), "a clean root needs root: run this as root");
    packages::ensure_for(&packages::REPOSITORY)?;
    for release in Release::ALL {
        println!("{release}:");
        let host = Host::make(release)?;
        install(&host, package)?;
        upgrade(&host, package)?;
        remove(&host)?;
        purge(&host)?;
        repository::run(&host, package, for_arm64)?;
    }
    Ok(())
}

fn install(host: &Host, package: &Path) -> Result<()> {
    let package = host.take(package)?;
    let begun = Instant::now();
    let said = host.run(&format!("dpkg --install {package}"))?;
    for path in BROUGHT.iter().chain(&ENABLED).chain([&CONFIGURATION]) {
        ensure!(host.has(path), "{path} is missing after the installation: {said}");
    }
    let documents = documents::check(&host.path("usr/share/doc/aop"))?;
    println!("documents: the links of {documents} lead to files of the package");
    host.run("getent passwd aop")?;
    start(host)?;
    println!("install: from dpkg to observing {:.1} s", begun.elapsed().as_secs_f32());
    let status = host.run("aop status")?;
    ensure!(status.contains("attached, observing"), "{status}");
    let verified = units::complaints(
        &host.ask("systemd-analyze verify aop.service aop-early.service aop-renew.timer")?.1,
    );
    ensure!(verified.is_empty(), "units: {verified:?}");
    Ok(())
}

/// Starts the daemon, as systemd would, and waits until it guards.
fn start(host: &Host) -> Result<()> {
    host.start("/usr/bin/aop", "run")?;
    until(|| Ok(host.is_guarded()? && process(host).is_ok()))
        .with_context(|| host.run("cat /root/log").unwrap_or_default())
}

fn upgrade(host: &Host, package: &Path) -> Result<()> {
    let before = process(host)?;
    let newer = host.take(&newer(package)?)?;
    let said = host.run(&format!("dpkg --install {newer}"))?;
    let after = process(host)?;
    ensure!(before != after, "the old process {before} still serves after the upgrade: {said}");
    ensure!(host.is_guarded()?, "the upgrade detached the firewall: {said}");
    println!("upgrade: handed over from process {before} to {after}");
    Ok(())
}

/// Removes the package while the daemon runs: without systemd, nothing stops the daemon before.
fn remove(host: &Host) -> Result<()> {
    let said = host.run("dpkg --remove aop")?;
    ensure!(!host.is_guarded()?, "the firewall is still attached after the removal: {said}");
    ensure!(host.has(CONFIGURATION), "the removal deleted the configuration: {said}");
    ensure!(!BROUGHT.iter().any(|path| host.has(path)), "the removal left files: {said}");
    println!("remove: detached, configuration kept");
    host.stop()?;
    Ok(())
}

fn purge(host: &Host) -> Result<()> {
    let said = host.run("dpkg --purge aop")?;
    for path in ENABLED.iter().chain(&["/etc/aop", "/var/lib/aop", "/run/aop"]) {
        ensure!(!host.has(path), "{path} is left after the purge: {said}");
    }
    ensure!(!host.ask("getent passwd aop")?.0, "the user is left after the purge: {said}");
    println!("purge: nothing is left");
    Ok(())
}

/// The process of the daemon that answers.
fn process(host: &Host) -> Result<u64> {
    let status: serde_json::Value = serde_json::from_str(&host.run("aop status --json")?)?;
    status["daemon"]["pid"].as_u64().context("no daemon answers")
}

fn until(mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < PATIENCE, "not within {} s", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
