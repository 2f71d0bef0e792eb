//! A host that cannot give what the configuration asks for: each error names what is missing or
//! in the way and what to do, exit code 1, and nothing half applied.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::{Config, Daemon, Upstream, World, child};

use crate::stage::{SOON, in_a_world, is_guarded, refuses_to_start};

/// The claim about a world and a configuration that `prepare` has made impossible.
fn refused(prepare: impl FnOnce(&World, &mut Config) -> Result<()>, named: &[&str]) {
    in_a_world(|world| {
        let mut config = Config::new(world);
        prepare(world, &mut config)?;
        let mut daemon = Daemon::prepare(world)?;
        daemon.write(&config.text())?;
        refuses_to_start(world, &mut daemon, named)
    });
}

#[test]
fn a_port_in_use_is_named() {
    in_a_world(|world| {
        let _other = Upstream::listening(world, "0.0.0.0:443")?;
        let mut daemon = Daemon::prepare(world)?;
        daemon.write(&Config::new(world).text())?;
        refuses_to_start(world, &mut daemon, &["0.0.0.0:443", "in use"])
    });
}

#[test]
fn an_unknown_interface_is_named_beside_those_there_are() {
    refused(
        |_, config| {
            config.interfaces = vec!["eth0".into(), "eth7".into()];
            Ok(())
        },
        &["eth7", "firewall.interfaces", "eth0"],
    );
}

#[test]
fn pins_outside_a_bpffs_are_named_with_the_mount_command() {
    refused(
        |world, config| {
            config.pins = world.dir().join("not-bpffs");
            Ok(())
        },
        &["not-bpffs", "mount -t bpf"],
    );
}

#[test]
fn a_lack_of_privilege_is_named_with_the_capabilities() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        config.bind = vec!["0.0.0.0:8443".into()];
        let mut daemon = Daemon::prepare(world)?;
        daemon.drop_privilege()?;
        daemon.write(&config.text())?;
        refuses_to_start(world, &mut daemon, &["privilege", "CAP_BPF", "CAP_NET_ADMIN"])
    });
}

#[test]
fn another_xdp_program_is_named_and_left_alone() {
    in_a_world(|world| {
        // Another instance stands for the other program: aop knows its own by the pins alone.
        let other = Config { pins: world.bpffs().join("other"), ..Config::new(world) };
        let mut daemon = Daemon::start(world, &other)?;
        let before = program(world)?;
        daemon.kill();
        daemon.write(&Config::new(world).text())?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1, "exit code {code}: {log}");
        for word in ["eth0", "another XDP program", "unload --pins"] {
            ensure!(log.contains(word), "nothing of {word}: {log}");
        }
        ensure!(program(world)? == before, "it was replaced");
        ensure!(!Config::new(world).pins.exists(), "pins were left");
        Ok(())
    });
}

/// What `ip` shows of the interface's program.
fn program(world: &World) -> Result<String> {
    let mut command = world.origin().command("ip");
    command.args(["-d", "link", "show", "eth0"]);
    let output = child::finish(command, &[], SOON)?.output;
    let text = String::from_utf8(output)?;
    let line = text.lines().find(|line| line.contains("prog/xdp")).context(text.clone())?;
    Ok(line.to_owned())
}

#[test]
fn pins_of_another_layout_are_named_with_the_remedy_which_works() {
    in_a_world(|world| {
        let config = Config::new(world);
        fs::create_dir_all(config.pins.join("v0"))?;
        let mut daemon = Daemon::prepare(world)?;
        daemon.write(&config.text())?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1, "exit code {code}: {log}");
        ensure!(log.contains("layout v0") && log.contains("aop unload"), "{log}");
        ensure!(config.pins.join("v0").exists() && !is_guarded(world)?);
        let unload = daemon.verb(&["unload"])?;
        ensure!(unload.code == 0, "{unload:?}");
        daemon.run()?;
        is_guarded(world).map(drop)
    });
}

#[test]
fn a_pinned_map_of_another_shape_is_named_and_not_used() {
    in_a_world(|world| {
        let config = Config::new(world);
        let layout = config.pins.join(format!("v{}", aop_common::layout::LAYOUT_VERSION));
        fs::create_dir_all(&layout)?;
        let mut bpftool = std::process::Command::new("bpftool");
        bpftool.args(["map", "create"]).arg(layout.join("SETTINGS"));
        bpftool.args("type array key 4 value 4096 entries 1 name SETTINGS".split(' '));
        let made = child::finish(bpftool, &[], SOON)?;
        ensure!(made.code == 0, "{made:?}");
        let mut daemon = Daemon::prepare(world)?;
        daemon.write(&config.text())?;
        let (code, log) = daemon.run_to_end()?;
        ensure!(code == 1, "exit code {code}: {log}");
        for word in ["SETTINGS", "4096", "aop unload"] {
            ensure!(log.contains(word), "nothing of {word}: {log}");
        }
        ensure!(!is_guarded(world)? && fs::read_dir(&layout)?.count() == 1, "half applied");
        ensure!(daemon.verb(&["unload"])?.code == 0);
        daemon.run()
    });
}

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    in_a_world(|world| {
        let first = Daemon::start(world, &Config::new(world))?;
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
