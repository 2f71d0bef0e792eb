//! Runs the Ansible role with the real ansible-core against booted Debian 12 and 13, over ssh:
//! installation from a signed repository, a second run without a change, a broken configuration,
//! and a rolling `enforce` while an edge pulls.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    booted::{Booted, EDGE, Edge},
    host::RELEASES,
    repository::{self, key},
    signing::Signer,
};
use crate::{command, packages, privilege::Privilege, workspace};

/// The last that runs on Debian 12's Python 3.11.
const ANSIBLE: &str = "2.19.14";
const PORT: u16 = 8000;

pub(super) fn run(package: &Path) -> Result<()> {
    ensure!(Privilege::current()?.is_root(), "booted systems need root: run this as root");
    packages::ensure_for(&packages::REPOSITORY)?;
    packages::ensure_for(&packages::ANSIBLE)?;
    let ansible = Ansible::installed()?;
    let edge = Edge::make()?;
    let mut hosts = Vec::new();
    for (number, release) in (1..).zip(RELEASES) {
        hosts.push(Booted::start(release, number, &edge)?);
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
    let play = Play { ansible, edge: &edge, hosts: &hosts };
    play.write_inventory()?;

    // The keys and the application that the configuration names.
    for host in &hosts {
        host.prepare(&edge)?;
    }
    let first = play.must("site.yml", &[])?;
    for host in &hosts {
        let status = host.run("aop status --json")?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        ensure!(status["mode"] == "observe" && !status["daemon"].is_null(), "{status}");
        host.run("systemctl is-enabled aop.service aop-early.service")?;
    }
    println!("first run: {}", first.recap());
    let second = play.must("site.yml", &[])?;
    ensure!(second.changed() == 0, "the second run changes something:\n{}", second.text);
    println!("second run: {}", second.recap());

    broken(&play)?;
    let changed =
        play.must("site.yml", &["--extra-vars", r#"{"aop_extra": ["192.0.2.99/32"]}"#])?;
    for host in &hosts {
        let explained = host.run("aop explain 192.0.2.99")?;
        ensure!(explained.contains("admit"), "the reload did not take up the file: {explained}");
    }
    println!("another configuration, reloaded: {}", changed.recap());
    enforce(&play)
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
fn enforce(play: &Play) -> Result<()> {
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
    let second = play.must("enforce.yml", &[])?;
    ensure!(second.changed() == 0, "the second run changes something:\n{}", second.text);
    println!("second run: {}", second.recap());
    let (good, failed) = pulls.end()?;
    ensure!(good > 0 && failed == 0, "{failed} of {} pulls failed meanwhile", good + failed);
    println!("pulls meanwhile: {good} served, {failed} failed");
    Ok(())
}

struct Play<'a> {
    ansible: PathBuf,
    edge: &'a Edge,
    hosts: &'a [Booted],
}

impl Play<'_> {
    fn write_inventory(&self) -> Result<()> {
        let folder = self.edge.folder();
        let key = key(&folder.join("repository"), "asc");
        let hosts: serde_json::Map<_, _> = self
            .hosts
            .iter()
            .map(|host| {
                let address = serde_json::json!({ "ansible_host": host.address() });
                (host.release().to_owned(), address)
            })
            .collect();
        let inventory = serde_json::json!({ "origins": { "hosts": hosts, "vars": {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": self.edge.ssh_key(),
            "ansible_ssh_common_args":
                "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
            "aop_repository": format!("http://{EDGE}:{PORT}"),
            "aop_repository_key": key,
            "aop_prefixes_source": ["173.245.48.0/20"],
            "aop_listeners": [{ "bind": ["0.0.0.0:443"] }],
            "aop_sites": [{
                "hosts": ["example.com"],
                "certificate": "/etc/aop/site.pem",
                "key": "/etc/aop/site.key",
                "client_ca": ["/etc/aop/ca.pem"],
                "upstream": "http://127.0.0.1:8080",
                "on_refusal": "observe",
            }],
            "aop_enforce_sites": ["example.com"],
            "aop_enforce_retries": 12,
        }}});
        // YAML is a superset of JSON.
        Ok(fs::write(folder.join("inventory.yml"), inventory.to_string())?)
    }

    /// Runs a playbook as an operator would, from a machine that reaches the hosts over ssh.
    fn run(&self, playbook: &str, options: &[&str]) -> Result<Ran> {
        let mut command = self.edge.command(&self.ansible);
        command.env("ANSIBLE_HOME", self.edge.folder().join("ansible"));
        command.envs([("LC_ALL", "C.UTF-8"), ("ANSIBLE_NOCOLOR", "1")]);
        command.arg("--inventory").arg(self.edge.folder().join("inventory.yml"));
        command.arg(workspace::root().join("packaging/ansible").join(playbook)).args(options);
        let output = command.output().context("cannot start ansible-playbook")?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Ok(Ran { good: output.status.success(), text })
    }

    fn must(&self, playbook: &str, options: &[&str]) -> Result<Ran> {
        let ran = self.run(playbook, options)?;
        if !ran.good {
            let journal = |host: &Booted| host.run("journalctl --unit=aop --lines=15 --no-pager");
            let journals: Result<Vec<_>> = self.hosts.iter().map(journal).collect();
            bail!("{playbook} failed:\n{}\n{}", ran.text, journals?.join("\n"));
        }
        Ok(ran)
    }

    fn read_all(&self, path: &str) -> Result<Vec<String>> {
        self.hosts.iter().map(|host| host.run(&format!("cat {path}"))).collect()
    }
}

/// A run of a playbook.
struct Ran {
    good: bool,
    text: String,
}

impl Ran {
    /// The lines behind PLAY RECAP, without what is zero.
    fn recap(&self) -> String {
        let behind = self.text.split("PLAY RECAP").nth(1).unwrap_or_default();
        let short = |line: &str| {
            let words =
                line.split_whitespace().filter(|word| !word.ends_with("=0") && *word != ":");
            words.collect::<Vec<_>>().join(" ")
        };
        let hosts = behind.lines().filter(|line| line.contains("ok="));
        hosts.map(short).collect::<Vec<_>>().join("; ")
    }

    fn changed(&self) -> u32 {
        self.text
            .split("changed=")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next()?.parse::<u32>().ok())
            .sum()
    }
}

struct Ansible;

impl Ansible {
    /// The path of ansible-playbook, which is installed from PyPI if it is missing.
    fn installed() -> Result<PathBuf> {
        let folder = workspace::tool(&format!("ansible-core-{ANSIBLE}"));
        let program = folder.join("bin/ansible-playbook");
        if !program.is_file() {
            command::run_shown(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            let mut install = Command::new(folder.join("bin/pip"));
            install.args(["install", "--quiet", &format!("ansible-core=={ANSIBLE}")]);
            command::run_shown(&mut install)?;
        }
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_all_hosts_count() {
        let text = "TASK [x]\nchanged: [a]\n\nPLAY RECAP *****\n\
                    a : ok=12   changed=3    unreachable=0    failed=0\n\
                    b : ok=12   changed=0    unreachable=0    failed=0\n";
        let ran = Ran { good: true, text: text.to_owned() };
        assert_eq!(ran.changed(), 3);
        assert_eq!(ran.recap(), "a ok=12 changed=3; b ok=12");
    }
}
