//! The package's life in a clean root: installed, observing, upgraded under a running daemon,
//! removed, purged.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{host::Host, units};
use crate::privilege::Privilege;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the package brings, and a removal takes away.
const BROUGHT: [&str; 6] = [
    "/usr/bin/aop",
    "/usr/lib/systemd/system/aop.service",
    "/usr/lib/systemd/system/aop-early.service",
    "/usr/share/man/man1/aop.1",
    "/usr/share/bash-completion/completions/aop",
    "/usr/share/zsh/vendor-completions/_aop",
];
const CONFIGURATION: &str = "/etc/aop/aop.toml";

/// How both units are started at boot.
const ENABLED: [&str; 2] = [
    "/etc/systemd/system/multi-user.target.wants/aop.service",
    "/etc/systemd/system/sysinit.target.wants/aop-early.service",
];

pub(super) fn run(package: &Path) -> Result<()> {
    ensure!(Privilege::current()?.is_root(), "a clean root needs root: run this as root");
    let host = Host::make()?;
    install(&host, package)?;
    upgrade(&host, package)?;
    remove(&host)?;
    purge(&host)
}

fn install(host: &Host, package: &Path) -> Result<()> {
    let package = host.take(package)?;
    let begun = Instant::now();
    let said = host.run(&format!("dpkg --install {package}"))?;
    for path in BROUGHT.iter().chain(&ENABLED).chain([&CONFIGURATION]) {
        ensure!(host.has(path), "installed without {path}: {said}");
    }
    host.run("getent passwd aop")?;
    host.start("/usr/bin/aop", "run")?;
    until(|| Ok(host.is_guarded()? && process(host).is_ok()))
        .with_context(|| host.run("cat /root/log").unwrap_or_default())?;
    println!("install: from dpkg to observing {:.1} s", begun.elapsed().as_secs_f32());
    let status = host.run("aop status")?;
    ensure!(status.contains("attached, observing"), "{status}");
    let verified =
        units::complaints(&host.ask("systemd-analyze verify aop.service aop-early.service")?.1);
    ensure!(verified.is_empty(), "units: {verified:?}");
    Ok(())
}

fn upgrade(host: &Host, package: &Path) -> Result<()> {
    let before = process(host)?;
    let newer = newer(host, package)?;
    let said = host.run(&format!("dpkg --install {newer}"))?;
    let after = process(host)?;
    ensure!(before != after, "the old process {before} still serves after the upgrade: {said}");
    ensure!(host.is_guarded()?, "the upgrade detached: {said}");
    println!("upgrade: handed over from process {before} to {after}");
    Ok(())
}

/// While it runs: in a system without systemd nobody stops it before.
fn remove(host: &Host) -> Result<()> {
    let said = host.run("dpkg --remove aop")?;
    ensure!(!host.is_guarded()?, "removed, and still attached: {said}");
    ensure!(host.has(CONFIGURATION), "a removal takes the configuration: {said}");
    ensure!(!BROUGHT.iter().any(|path| host.has(path)), "something is left: {said}");
    println!("remove: detached, configuration kept");
    host.stop()?;
    Ok(())
}

fn purge(host: &Host) -> Result<()> {
    let said = host.run("dpkg --purge aop")?;
    for path in ENABLED.iter().chain(&["/etc/aop", "/var/lib/aop", "/run/aop"]) {
        ensure!(!host.has(path), "purged, and {path} is left: {said}");
    }
    ensure!(!host.ask("getent passwd aop")?.0, "purged, and the user is left: {said}");
    println!("purge: nothing is left");
    Ok(())
}

/// The same package under a higher version.
fn newer(host: &Host, package: &Path) -> Result<String> {
    let package = host.take(package)?;
    host.run(&format!("dpkg-deb --raw-extract {package} /root/newer"))?;
    let control = host.path("root/newer/DEBIAN/control");
    let text = std::fs::read_to_string(&control)?;
    let higher = |line: &str| match line.starts_with("Version: ") {
        true => format!("{line}+1\n"),
        false => format!("{line}\n"),
    };
    std::fs::write(&control, text.lines().map(higher).collect::<String>())?;
    host.run("dpkg-deb --build /root/newer /root/newer.deb")?;
    Ok("/root/newer.deb".to_owned())
}

/// The daemon that answers.
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
