//! Failures and wrong commands: guarded interfaces stay guarded, and foreign files are not touched.

use std::fs;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, IpVersion, Pull, StatusJson, TestDaemon, child};

use crate::stage::{SOON, Stage, in_lab, on_changed_stage, on_stage};

/// A stranger meets silence, with or without a daemon.
fn stranger_meets_silence(stage: &Stage) -> Result<()> {
    let dropped = || stage.daemon.status()?.packets("drop", "unknown_source");
    for family in IpVersion::BOTH {
        let before = dropped()?;
        Pull::by_stranger(&stage.lab, family).must_meet_silence()?;
        ensure!(dropped()? > before, "nothing was dropped");
    }
    Ok(())
}

/// A restart with another configuration fails with an error that contains `words`. The firewall
/// does not change.
fn fails_to_restart(stage: &mut Stage, text: &str, words: &[&str]) -> Result<()> {
    let before = stage.daemon.status()?;
    stage.daemon.kill();
    stage.daemon.write(text)?;
    let (code, log) = stage.daemon.run_to_end()?;
    ensure!(code == 1, "exit code {code}: {log}");
    for word in words {
        ensure!(log.contains(word), "nothing of {word}: {log}");
    }
    let after = stage.daemon.status()?;
    let part = |status: &StatusJson, key: &str| status.json()[key].clone();
    for key in ["mode", "interfaces"] {
        ensure!(part(&before, key) == part(&after, key), "{key}: {:?}", part(&after, key));
    }
    stranger_meets_silence(stage)
}

#[test]
fn a_start_that_fails_at_one_interface_keeps_the_others_and_the_policy() {
    // The loopback interface has no native mode.
    on_changed_stage(
        |config, _| config.interfaces = vec!["eth0".into(), "lo".into()],
        |stage| {
            let config = AopToml { attach: "native", mode: "observe", ..stage.config.clone() };
            stage.daemon.kill();
            stage.daemon.write(&config.text())?;
            let (code, log) = stage.daemon.run_to_end()?;
            ensure!(code == 1 && log.contains("native"), "exit code {code}: {log}");
            let status = stage.daemon.status()?;
            ensure!(status.json()["mode"] == "enforce", "{:?}", status.json());
            stranger_meets_silence(stage)
        },
    );
}

#[test]
fn a_duplicate_interface_is_refused_and_stays_guarded() {
    on_stage(|stage| {
        let twice =
            AopToml { interfaces: vec!["eth0".into(), "eth0".into()], ..stage.config.clone() };
        fails_to_restart(stage, &twice.text(), &["eth0", "twice"])
    });
}

#[test]
fn a_runtime_directory_that_cannot_hold_the_socket_leaves_nothing_behind() {
    in_lab(|lab| {
        let long = lab.dir().join("x".repeat(120));
        let config = AopToml { runtime: long, ..AopToml::new(lab) };
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1 && log.contains("paths.runtime"), "exit code {code}: {log}");
        ensure!(!config.pins.exists(), "pins were left");
        Ok(())
    });
}

#[test]
fn a_second_daemon_with_the_same_pins_is_refused_and_changes_nothing() {
    for mode in ["observe", "off"] {
        on_stage(|stage| {
            let other = AopToml {
                mode,
                runtime: stage.lab.dir().join("other-run"),
                bind: vec!["127.0.0.1:9443".into()],
                ..stage.config.clone()
            };
            stage.daemon.write(&other.text())?;
            let second = stage.daemon.verb(&["run"])?;
            ensure!(second.code == 1 && second.errors.contains("another aop"), "{second:?}");
            stage.edge_is_served()?;
            stranger_meets_silence(stage)
        });
    }
}

#[test]
fn unload_is_an_emergency_exit_and_an_upgrade_takes_it_back() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        stage.daemon.must_run("open --from 192.0.2.0/24 --for 5m")?;
        stage.daemon.verb(&["unload"])?.success()?;
        stage.daemon.wait_for_log("no longer judged by their address")?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;
        let screen = stage.daemon.must_run("status")?;
        ensure!(screen.lines().next().is_some_and(|it| it.contains("NOT GUARDING")), "{screen}");
        // Changes that admit more work; enforcing is refused, and a reload warns.
        stage.daemon.must_run("mode observe")?;
        stage.daemon.must_run("open --close 192.0.2.0/24")?;
        let enforce = stage.daemon.verb(&["mode", "enforce", "--force"])?;
        ensure!(enforce.code == 1 && enforce.errors.contains("was unloaded"), "{enforce:?}");
        let said = stage.daemon.reload()?;
        ensure!(said.contains("was unloaded") && !said.contains("not reloaded"), "{said}");
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;
        stage.daemon.must_run("mode default")?;
        stage.daemon.upgrade()?;
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        stage.silences_strangers()
    });
}

#[test]
fn pins_that_were_removed_by_hand_are_an_unload() {
    on_stage(|stage| {
        stage.silences_strangers()?;
        std::fs::remove_dir_all(&stage.config.pins)?;
        stage.daemon.wait_for_log("no longer judged by their address")?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;
        stage.daemon.run()?;
        stage.silences_strangers()
    });
}

#[test]
fn unload_does_not_touch_foreign_files() {
    in_lab(|lab| {
        let precious = lab.dir().join("pins/v1/precious");
        fs::create_dir_all(lab.dir().join("pins/v1"))?;
        fs::write(&precious, "precious")?;
        let config = AopToml { pins: lab.dir().join("pins"), ..AopToml::new(lab) };
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let unload = daemon.verb(&["unload"])?;
        ensure!(unload.code == 1 && unload.errors.contains("bpffs"), "{unload:?}");
        daemon.write(&AopToml { mode: "off", ..config }.text())?;
        daemon.run()?;
        ensure!(precious.exists(), "it was deleted");
        Ok(())
    });
}

#[test]
fn unload_works_without_a_valid_configuration() {
    on_stage(|stage| {
        stage.daemon.write("[firewall")?;
        let pins = stage.config.pins.display().to_string();
        let unload = stage.daemon.verb(&["unload", "--pins", &pins])?;
        ensure!(unload.code == 0 && unload.output.starts_with(b"detached from eth0"), "{unload:?}");
        ensure!(!stage.config.pins.exists());
        Ok(())
    });
}

#[test]
fn auto_keeps_an_interface_that_has_lost_its_default_route_before_a_restart() {
    on_changed_stage(
        |config, _| config.interfaces = vec!["auto".into()],
        |stage| {
            stage.daemon.kill();
            // Another interface gets the default routes.
            for (family, lines) in [
                (
                    "-4",
                    "link add other type veth peer name far\nlink set other up\n\
                        link set far up\nroute replace default dev other\n",
                ),
                ("-6", "route del default dev eth0\nroute add default dev other\n"),
            ] {
                let mut command = stage.lab.origin().command("ip");
                command.args([family, "-batch", "-"]);
                child::finish(command, lines.as_bytes(), SOON)?.success()?;
            }
            stage.daemon.run()?;
            let interfaces = stage.daemon.status()?.json()["interfaces"].clone();
            let names: Vec<_> =
                interfaces.as_array().into_iter().flatten().map(|it| it["name"].clone()).collect();
            ensure!(names.contains(&"eth0".into()) && names.contains(&"other".into()), "{names:?}");
            Ok(())
        },
    );
}
