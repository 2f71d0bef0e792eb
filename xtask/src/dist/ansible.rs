//! Runs the Ansible role with the real ansible-core against booted Debian 12 and 13, over ssh:
//! installation from a signed repository with reports to a fleet, a broken configuration, a
//! rolling `enforce` while an edge pulls, other versions, and installation from a file. A second
//! run of each changes nothing.

mod edge;
mod host;
mod play;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use self::{
    edge::{EDGE, Edge, Pulls},
    host::Host,
    play::Play,
};
use super::{
    newer::{newer, version},
    repository,
    signing::Signer,
};
use crate::{debian::Release, packages, privilege::Privilege};

const PORT: u16 = 8000;

pub(super) fn run(package: &Path) -> Result<()> {
    ensure!(Privilege::current()?.is_root(), "booted systems need root: run this as root");
    packages::ensure_for(&packages::REPOSITORY)?;
    packages::ensure_for(&packages::ANSIBLE)?;
    let ansible = play::installed()?;
    let edge = Edge::make()?;
    let mut hosts = Vec::new();
    for (number, release) in (1..).zip(Release::ALL) {
        hosts.push(Host::start(release, number, &edge)?);
    }
    for host in &hosts {
        println!(
            "{}: {}",
            host.release(),
            host.run("systemctl --version")?.lines().next().unwrap_or_default()
        );
    }
    let signer = Signer::throw_away("aop test")?;
    repository::add(&edge.folder().join("repository"), &[package.to_owned()], &[], &signer)?;
    let _server = edge.serve(&edge.folder().join("repository"), PORT)?;
    let _etcd = edge.serve_etcd()?;
    let play = Play { ansible, edge: &edge, hosts: &hosts };
    play.write_inventory()?;

    // The keys and the application that the configuration names.
    for host in &hosts {
        host.give_keys(&edge)?;
        host.start_application()?;
    }
    let first = play.must("site.yml", &[])?;
    play.observes()?;
    play.reports()?;
    println!("first run, and each host reports to its fleet: {}", first.recap());
    play.changes_nothing("site.yml", "{}")?;

    broken(&play)?;
    let changed =
        play.must("site.yml", &["--extra-vars", r#"{"aop_extra": ["192.0.2.99/32"]}"#])?;
    for host in &hosts {
        let explained = host.run("aop explain 192.0.2.99")?;
        ensure!(explained.contains("admit"), "the reload did not take up the file: {explained}");
    }
    println!("another configuration, reloaded: {}", changed.recap());

    let pulls = enforce(&play)?;
    let folder = edge.folder().join("repository");
    repository::add(&folder, &[newer(package)?], &[], &signer)?;
    versions(&play, &version(package)?)?;
    confirmed_by_the_role(&play)?;
    let (good, failed, errors) = pulls.end()?;
    ensure!(good > 0 && failed == 0, "{failed} of {} pulls failed:\n{errors}", good + failed);
    println!("pulls through all of it: {good} served, none lost");
    from_a_file(&play, package)
}

/// A configuration that aop refuses: the run fails, the old file stays, and aop goes on.
fn broken(play: &Play) -> Result<()> {
    let before = play.read_all("/etc/aop/aop.toml")?;
    for (what, variables, word) in [
        ("a mode that does not exist", r#"{"aop_mode": "obey"}"#, "obey"),
        ("an interface that does not exist", r#"{"aop_interfaces": ["typo0"]}"#, "typo0"),
    ] {
        let ran = play.run("site.yml", &["--extra-vars", variables])?;
        ensure!(!ran.good && ran.text.contains(word), "{what} is taken:\n{}", ran.text);
        ensure!(play.read_all("/etc/aop/aop.toml")? == before, "{what} replaced the file");
        for host in play.hosts {
            host.run("aop status")?;
        }
        println!("refused, and the old file stays: {what}");
    }
    Ok(())
}

/// One host after the other enforces, and confirms itself by pulls. Without pulls, the first host
/// returns to observe and the second is never asked.
fn enforce(play: &Play) -> Result<Pulls> {
    let alone = play.run(
        "enforce.yml",
        &["--extra-vars", r#"{"aop_enforce_confirm": "10s", "aop_enforce_pulls": 1000000}"#],
    )?;
    ensure!(!alone.good, "enforcing passes without the pulls that confirm it:\n{}", alone.text);
    ensure!(
        !alone.text.contains(&format!("changed: [{}]", play.hosts[1].release())),
        "the second host was asked though the first had returned:\n{}",
        alone.text
    );
    println!(
        "too few pulls: {} returned to observe, and the run ended there",
        play.hosts[0].release()
    );

    let pulls = play.edge.pull(play.hosts)?;
    let first = play.must("enforce.yml", &[])?;
    for host in play.hosts {
        let modes: serde_json::Value = serde_json::from_str(&host.run("aop mode --json")?)?;
        ensure!(modes["mode"] == "enforce" && modes["pending"].is_null(), "{modes}");
        let mut sites = modes["sites"].as_array().into_iter().flatten();
        ensure!(sites.all(|site| site["mode"] == "enforce"), "{modes}");
    }
    println!("rolling enforce, confirmed by pulls: {}", first.recap());
    play.changes_nothing("enforce.yml", "{}")?;
    let (good, failed) = pulls.count()?;
    println!("pulls during both: {good} served, {failed} failed");
    Ok(pulls)
}

/// Another version by `aop_version`: the newest, and the one of before. The hosts enforce.
fn versions(play: &Play, old: &str) -> Result<()> {
    for (wanted, version) in
        [("latest", format!("{old}+1")), (old, old.to_owned()), ("", old.to_owned())]
    {
        let variables = format!(r#"{{"aop_version": "{wanted}"}}"#);
        if !wanted.is_empty() {
            let ran = play.must("site.yml", &["--extra-vars", &variables])?;
            println!("aop_version {wanted}: {}", ran.recap());
        }
        play.changes_nothing("site.yml", &variables)?;
        for host in play.hosts {
            let installed = host.run("dpkg-query --show --showformat='${Version}' aop")?;
            ensure!(installed == version, "{} has {installed}, not {version}", host.release());
            let status: serde_json::Value = serde_json::from_str(&host.run("aop status --json")?)?;
            ensure!(status["mode"] == "enforce" && !status["daemon"].is_null(), "{status}");
        }
    }
    Ok(())
}

/// `aop_enforce_pulls: 0`: the role confirms, once `aop_enforce_url` has answered.
fn confirmed_by_the_role(play: &Play) -> Result<()> {
    for host in play.hosts {
        host.run("aop mode observe && aop mode observe --site example.com")?;
    }
    let by = |page: &str, time: &str| {
        format!(
            r#"{{"aop_enforce_pulls": 0, "aop_enforce_confirm": "{time}",
                "aop_enforce_url": "http://{EDGE}:{PORT}/{page}"}}"#
        )
    };
    let variables = by("missing", "15s");
    let refused = play.run("enforce.yml", &["--extra-vars", &variables])?;
    ensure!(!refused.good, "the role confirms though the site does not answer:\n{}", refused.text);
    let modes = || -> Result<Vec<String>> {
        let modes = play.hosts.iter().map(|host| {
            let modes: serde_json::Value = serde_json::from_str(&host.run("aop mode --json")?)?;
            Ok(format!("{} {}", modes["mode"], modes["pending"]))
        });
        modes.collect()
    };
    let begun = Instant::now();
    while modes()?.iter().any(|mode| mode != r#""observe" null"#) {
        ensure!(begun.elapsed() < Duration::from_secs(30), "not back to observe: {:?}", modes()?);
        thread::sleep(Duration::from_millis(500));
    }
    println!("a site that does not answer: {} returned to observe", play.hosts[0].release());
    let variables = by("SHA256SUMS", "5m");
    let ran = play.must("enforce.yml", &["--extra-vars", &variables])?;
    ensure!(modes()?.iter().all(|mode| mode == r#""enforce" null"#), "{:?}", modes()?);
    println!("enforce, confirmed by the role: {}", ran.recap());
    play.changes_nothing("enforce.yml", &variables)
}

/// `aop_package` on hosts without aop.
fn from_a_file(play: &Play, package: &Path) -> Result<()> {
    for host in play.hosts {
        host.run("apt-get purge --yes aop && rm /etc/apt/sources.list.d/aop.sources")?;
        host.give_keys(play.edge)?;
    }
    let variables = serde_json::json!({
        "aop_repository": "", "aop_repository_key": "", "aop_package": fs::canonicalize(package)?,
    });
    let variables = variables.to_string();
    let ran = play.must("site.yml", &["--extra-vars", &variables])?;
    play.observes()?;
    println!("from a file: {}", ran.recap());
    play.changes_nothing("site.yml", &variables)
}
