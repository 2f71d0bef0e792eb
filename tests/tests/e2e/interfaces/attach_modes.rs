//! How the program is attached to an interface.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, StatusJson, TestDaemon, child};

use crate::stage::{SOON, Stage, in_lab, on_changed_stage};

fn attached(stage: &Stage, mode: &str) -> Result<()> {
    let status = stage.daemon.status()?;
    let interfaces = &status.json()["interfaces"];
    ensure!(interfaces[0]["name"] == "eth0" && interfaces[0]["attach"] == mode, "{interfaces}");
    stage.silences_strangers()
}

#[test]
fn auto_finds_the_interface_of_the_default_route() {
    on_changed_stage(
        |config, _| config.interfaces = vec!["auto".into()],
        |stage| attached(stage, "native"),
    );
}

#[test]
fn generic_mode_filters_as_native_does() {
    on_changed_stage(|config, _| config.attach = "generic", |stage| attached(stage, "generic"));
}

#[test]
fn a_restart_may_change_the_attach_mode_and_keeps_the_counters() {
    on_changed_stage(
        |config, _| config.attach = "generic",
        |stage| {
            attached(stage, "generic")?;
            let before = stage.daemon.status()?;
            stage.config.attach = "native";
            stage.daemon.write(&stage.config.text())?;
            stage.daemon.run()?;
            let drops = |status: &StatusJson| status.packets("drop", "unknown_source");
            ensure!(drops(&stage.daemon.status()?)? >= drops(&before)?);
            attached(stage, "native")
        },
    );
}

#[test]
fn a_restart_guards_an_interface_that_was_created_again() {
    on_changed_stage(
        |_, _| {},
        |stage| {
            stage.edge_is_served()?;
            stage.daemon.kill();
            remake(&stage.lab)?;
            stage.daemon.run()?;
            attached(stage, "native")
        },
    );
}

/// Deletes the interface of the origin and creates another one with its name and no program.
fn remake(lab: &Lab) -> Result<()> {
    let steps = format!(
        "link delete eth0\n\
         link add eth0 type veth peer name origin netns {}\n\
         link set eth0 up\n\
         address add 203.0.113.10/24 dev eth0\n\
         address add 2001:db8:0:10::10/64 dev eth0 nodad\n\
         route add default via 203.0.113.1\n\
         route add default via 2001:db8:0:10::1\n",
        lab.router().name()
    );
    let far = "link set origin up\n\
               address add 203.0.113.1/24 dev origin\n\
               address add 2001:db8:0:10::1/64 dev origin nodad\n";
    for (netns, lines) in [(lab.origin(), steps.as_str()), (lab.router(), far)] {
        let mut command = netns.command("ip");
        command.args(["-batch", "-"]);
        child::finish(command, lines.as_bytes(), SOON)?.success()?;
    }
    Ok(())
}

/// At a first start there is no pinned firewall yet. It must be attached before the port opens.
#[test]
fn a_stranger_gets_no_answer_while_the_daemon_starts() {
    in_lab(|lab| {
        let config = AopToml::new(lab);
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let to = lab.origin_at(IpVersion::V4, 443);
        let started = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let knocker = scope.spawn(|| {
                let knock = || lab.stranger().connect(to, Duration::from_millis(50));
                std::iter::from_fn(|| (!started.load(Ordering::Relaxed)).then(knock))
                    .filter(|knock| knock.is_ok())
                    .count()
            });
            let ready = daemon.run();
            started.store(true, Ordering::Relaxed);
            ready?;
            let answered = knocker.join().unwrap_or(usize::MAX);
            ensure!(answered == 0, "{answered} connections of a stranger during the start");
            Ok(())
        })
    });
}
