//! The real ansible-core, and its runs of the playbooks against the hosts.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    PORT,
    edge::{EDGE, ETCD, Edge},
    host::Host,
};
use crate::{command, dist::repository::key, workspace};

/// The last that runs on Debian 12's Python 3.11.
const ANSIBLE: &str = "2.19.14";
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Play<'a> {
    pub(super) ansible: PathBuf,
    pub(super) edge: &'a Edge,
    pub(super) hosts: &'a [Host],
}

impl Play<'_> {
    pub(super) fn write_inventory(&self) -> Result<()> {
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
            "aop_fleet_endpoints": [ETCD],
            "aop_fleet_ca": folder.join("ca.pem"),
            "aop_fleet_certificate": folder.join("{{ inventory_hostname }}.pem"),
            "aop_fleet_key": folder.join("{{ inventory_hostname }}.key"),
            "aop_fleet_prefix": "/aop/test",
            "aop_fleet_name": "{{ inventory_hostname }}",
            "aop_fleet_labels": { "region": "eu", "ring": "canary" },
            "aop_fleet_operators": ["ed25519:GIThhR6LwEMdBJr3i+eBiHHrMa3doSvPyN00yhobPcQ="],
            "aop_enforce_sites": ["example.com"],
            "aop_enforce_retries": 12,
        }}});
        // YAML is a superset of JSON.
        Ok(fs::write(folder.join("inventory.yml"), inventory.to_string())?)
    }

    /// Runs a playbook as an operator would, from a machine that reaches the hosts over ssh.
    pub(super) fn run(&self, playbook: &str, options: &[&str]) -> Result<Ran> {
        let mut command = self.edge.command(&self.ansible);
        command.env("ANSIBLE_HOME", self.edge.folder().join("ansible"));
        command.envs([("LC_ALL", "C.UTF-8"), ("ANSIBLE_NOCOLOR", "1")]);
        command.arg("--inventory").arg(self.edge.folder().join("inventory.yml"));
        command.arg(workspace::root().join("packaging/ansible").join(playbook)).args(options);
        let output = command.output().context("cannot start ansible-playbook")?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Ok(Ran { good: output.status.success(), text })
    }

    pub(super) fn must(&self, playbook: &str, options: &[&str]) -> Result<Ran> {
        let ran = self.run(playbook, options)?;
        if !ran.good {
            let journal = |host: &Host| host.run("journalctl --unit=aop --lines=15 --no-pager");
            let journals: Result<Vec<_>> = self.hosts.iter().map(journal).collect();
            bail!("{playbook} failed:\n{}\n{}", ran.text, journals?.join("\n"));
        }
        Ok(ran)
    }

    /// A playbook that has run changes nothing when it runs again.
    pub(super) fn changes_nothing(&self, playbook: &str, variables: &str) -> Result<()> {
        let again = self.must(playbook, &["--extra-vars", variables])?;
        ensure!(again.changed() == 0, "the next run changes something:\n{}", again.text);
        println!("again: {}, nothing changed", again.recap());
        Ok(())
    }

    /// All hosts observe, and will after a boot.
    pub(super) fn observes(&self) -> Result<()> {
        for host in self.hosts {
            let status: serde_json::Value = serde_json::from_str(&host.run("aop status --json")?)?;
            ensure!(status["mode"] == "observe" && !status["daemon"].is_null(), "{status}");
            host.run("systemctl is-enabled aop.service aop-early.service")?;
        }
        Ok(())
    }

    /// All hosts report to their fleet, and root alone may read their keys.
    pub(super) fn reports(&self) -> Result<()> {
        for host in self.hosts {
            let begun = Instant::now();
            loop {
                let status: serde_json::Value =
                    serde_json::from_str(&host.run("aop status --json")?)?;
                let link = &status["fleet"];
                if link["state"] == "reporting" && link["name"] == host.release() {
                    break;
                }
                ensure!(begun.elapsed() < PATIENCE, "{} does not report: {link}", host.release());
                thread::sleep(Duration::from_millis(500));
            }
            let owner = host.run("stat --format=%a:%U:%G /etc/aop/fleet/host.key")?;
            ensure!(owner.trim() == "600:root:root", "{} has a key of {owner}", host.release());
        }
        Ok(())
    }

    pub(super) fn read_all(&self, path: &str) -> Result<Vec<String>> {
        self.hosts.iter().map(|host| host.run(&format!("cat {path}"))).collect()
    }
}

/// A run of a playbook.
pub(super) struct Ran {
    pub(super) good: bool,
    pub(super) text: String,
}

impl Ran {
    /// The lines behind PLAY RECAP, without what is zero.
    pub(super) fn recap(&self) -> String {
        let behind = self.text.split("PLAY RECAP").nth(1).unwrap_or_default();
        let short = |line: &str| {
            let words =
                line.split_whitespace().filter(|word| !word.ends_with("=0") && *word != ":");
            words.collect::<Vec<_>>().join(" ")
        };
        let hosts = behind.lines().filter(|line| line.contains("ok="));
        hosts.map(short).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn changed(&self) -> u32 {
        self.text
            .split("changed=")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next()?.parse::<u32>().ok())
            .sum()
    }
}

/// The path of ansible-playbook, which is installed from PyPI if it is missing.
pub(super) fn installed() -> Result<PathBuf> {
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
