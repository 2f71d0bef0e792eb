//! A host that cannot do what the configuration requires: the start fails with exit code 1 and an
//! error that names the obstacle and the remedy, and nothing is half applied.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, Lab, TestDaemon, TestUpstream, child};

use crate::stage::{SOON, in_lab, is_guarded, refuses_to_start};

/// The whole claim, after `prepare` has changed the lab or the configuration.
fn refused(prepare: impl FnOnce(&Lab, &mut AopToml) -> Result<()>, named: &[&str]) {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        prepare(lab, &mut config)?;
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        refuses_to_start(lab, &mut daemon, named)
    });
}

#[test]
fn a_port_in_use_is_named() {
    in_lab(|lab| {
        let _other = TestUpstream::listening(lab, "0.0.0.0:443")?;
        let mut daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        refuses_to_start(lab, &mut daemon, &["0.0.0.0:443", "in use"])
    });
}

#[test]
fn an_unknown_interface_is_named_with_the_existing_ones() {
    refused(
        |_, config| {
            config.interfaces = vec!["eth7".into()];
            Ok(())
        },
        &["eth7", "firewall.interfaces", "eth0"],
    );
}

#[test]
fn pins_outside_a_bpffs_are_named_with_the_mount_command() {
    refused(
        |lab, config| {
            config.pins = lab.dir().join("not-bpffs");
            Ok(())
        },
        &["not-bpffs", "mount -t bpf"],
    );
}

#[test]
fn missing_privilege_is_named_with_the_capabilities() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        config.bind = vec!["0.0.0.0:8443".into()];
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.drop_privilege()?;
        daemon.write(&config.text())?;
        refuses_to_start(lab, &mut daemon, &["privilege", "CAP_BPF", "CAP_NET_ADMIN"])
    });
}

#[test]
fn a_foreign_xdp_program_is_named_and_not_replaced() {
    in_lab(|lab| {
        // A second aop serves as the foreign program: aop recognizes its own program by the pins.
        let other = AopToml { pins: lab.bpffs().join("other"), ..AopToml::new(lab) };
        let mut daemon = TestDaemon::start(lab, &other)?;
        let before = program(lab)?;
        daemon.kill();
        daemon.write(&AopToml::new(lab).text())?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1, "exit code {code}: {log}");
        for word in ["eth0", "another XDP program", "unload --pins"] {
            ensure!(log.contains(word), "nothing of {word}: {log}");
        }
        ensure!(program(lab)? == before, "it was replaced");
        ensure!(!AopToml::new(lab).pins.exists(), "pins were left");
        Ok(())
    });
}

/// The line of `ip` about the program on the interface.
fn program(lab: &Lab) -> Result<String> {
    let mut command = lab.origin().command("ip");
    command.args(["-d", "link", "show", "eth0"]);
    let output = child::finish(command, &[], SOON)?.output;
    let text = String::from_utf8(output)?;
    let line = text.lines().find(|line| line.contains("prog/xdp")).context(text.clone())?;
    Ok(line.to_owned())
}

#[test]
fn pins_of_a_newer_layout_are_named_with_a_remedy_that_works() {
    in_lab(|lab| {
        let config = AopToml::new(lab);
        fs::create_dir_all(config.pins.join("v99"))?;
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1, "exit code {code}: {log}");
        ensure!(log.contains("layout 99") && log.contains("aop unload"), "{log}");
        ensure!(config.pins.join("v99").exists() && !is_guarded(lab)?);
        daemon.verb(&["unload"])?.success()?;
        daemon.run()?;
        is_guarded(lab).map(drop)
    });
}

#[test]
fn a_pinned_map_of_another_size_is_named_and_not_used() {
    in_lab(|lab| {
        let config = AopToml::new(lab);
        let layout = config.pins.join(format!("v{}", aop_common::layout::LAYOUT_VERSION));
        fs::create_dir_all(&layout)?;
        let mut bpftool = std::process::Command::new("bpftool");
        bpftool.args(["map", "create"]).arg(layout.join("SETTINGS"));
        bpftool.args("type array key 4 value 4096 entries 1 name SETTINGS".split(' '));
        child::finish(bpftool, &[], SOON)?.success()?;
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1, "exit code {code}: {log}");
        for word in ["SETTINGS", "4096", "aop unload"] {
            ensure!(log.contains(word), "nothing of {word}: {log}");
        }
        ensure!(!is_guarded(lab)? && fs::read_dir(&layout)?.count() == 1, "half applied");
        daemon.verb(&["unload"])?.success()?;
        daemon.run()
    });
}

#[test]
fn a_second_daemon_is_refused_and_the_first_continues() {
    in_lab(|lab| {
        let first = TestDaemon::start(lab, &AopToml::new(lab))?;
        let second = first.verb(&["run"])?;
        ensure!(second.code == 1, "{second:?}");
        let pid = first.pid().context("it runs")?.to_string();
        ensure!(
            second.errors.contains("another aop") && second.errors.contains(&pid),
            "{second:?}"
        );
        first.status().map(drop)
    });
}
