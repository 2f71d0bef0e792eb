//! Obstacles that make a start fail on this host: `aop check` ends with 1 before the start takes
//! the site down, and the doctor names them afterwards.

use std::fs;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, Lab, TestDaemon, TestUpstream};

use super::diagnose;
use crate::stage::{in_lab, on_stage};

/// `aop check` and the doctor name the obstacle, and a start fails.
fn hinders(lab: &Lab, config: &AopToml, name: &str, words: &[&str]) -> Result<()> {
    let mut daemon = TestDaemon::with_config(lab, config)?;
    let checked = daemon.verb(&["check"])?;
    let text = checked.text();
    let named =
        |line: &str| line.starts_with("wrong: ") && words.iter().all(|word| line.contains(word));
    ensure!(checked.code == 1 && text.lines().any(named), "{checked:?}");
    ensure!(daemon.verb(&["check", "--files"])?.code == 0, "the files are good");
    diagnose(&daemon, &[])?.finds(name)?;
    let (code, log) = daemon.run_to_end()?;
    ensure!(code == 1, "exit code {code}: {log}");
    Ok(())
}

#[test]
fn a_port_that_another_program_has_is_named_with_that_program() {
    in_lab(|lab| {
        let _app = TestUpstream::start(lab)?;
        let config = AopToml::new(lab);
        let nginx = TestUpstream::listening(lab, "0.0.0.0:443")?;
        hinders(lab, &config, "port_held", &["aop-upstream has port 443", "ss -ltnp"])?;
        drop(nginx);
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        daemon.verb(&["check"])?.success()?;
        daemon.run()?;
        daemon.verb(&["check"])?.success()?;
        Ok(())
    });
}

#[test]
fn an_interface_that_does_not_exist_is_named_with_those_that_do() {
    in_lab(|lab| {
        let _app = TestUpstream::start(lab)?;
        let mut config = AopToml::new(lab);
        config.interfaces = vec!["typo0".into()];
        hinders(lab, &config, "interface_missing", &["typo0", "this host has eth0"])?;
        // Beside another one it is awaited.
        config.interfaces.push("eth0".into());
        let daemon = TestDaemon::with_config(lab, &config)?;
        let checked = daemon.verb(&["check"])?.success()?.text();
        let warned = |line: &str| line.starts_with("warning: ") && line.contains("typo0");
        ensure!(checked.lines().any(warned), "{checked}");
        Ok(())
    });
}

#[test]
fn a_foreign_xdp_program_is_named_before_the_start() {
    in_lab(|lab| {
        let _app = TestUpstream::start(lab)?;
        // A second aop serves as the foreign program: aop recognizes its own program by the pins.
        let other = AopToml { pins: lab.bpffs().join("other"), ..AopToml::new(lab) };
        let mut daemon = TestDaemon::start(lab, &other)?;
        daemon.verb(&["check"])?.success()?;
        daemon.kill();
        let config = AopToml { runtime: lab.dir().join("run-2"), ..AopToml::new(lab) };
        hinders(lab, &config, "foreign_program", &["another XDP program", "eth0", "xdp off"])
    });
}

#[test]
fn a_running_daemon_is_no_obstacle_for_itself() {
    on_stage(|stage| {
        let checked = stage.daemon.verb(&["check"])?.success()?.text();
        ensure!(!checked.contains("wrong: ") && !checked.contains("Cure: "), "{checked}");
        // A file for another host is judged without this one.
        let text = stage.config.text().replace("[\"eth0\"]", "[\"ens7\"]");
        let file = stage.lab.dir().join("elsewhere.toml");
        fs::write(&file, text)?;
        stage.daemon.verb_with(&["check", "--files"], &file)?.success()?;
        ensure!(stage.daemon.verb_with(&["check"], &file)?.code == 1);
        Ok(())
    });
}
