//! An order that comes while one process hands over to another.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::thread::scope;

use anyhow::{Context, ensure};
use aop_tests::{child, wait};
use nix::fcntl::OFlag;

use super::{REPORTED, await_link, await_next_report, on_fleet, orders};
use crate::stage::{SOON, Stage};

/// The stored mode overrides, as the successor gets them.
const OVERRIDES: &str = r#"{"set_at": "2026-01-01T00:00:00Z", "configured": "observe",
    "general": "observe", "ports": {}, "interfaces": {}}"#;

/// The numbers of the orders that the host has stored.
fn stored(stage: &Stage) -> String {
    fs::read_to_string(stage.config.state.join("fleet-orders.json")).unwrap_or_default()
}

#[test]
fn an_order_that_comes_during_an_upgrade_is_left_to_the_successor_and_obeyed_once() {
    on_fleet(1, orders::obeying, |stage, _| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        orders::order(stage, "observe --all")?.success()?;
        let before = stored(stage);
        // The successor waits for its stored mode overrides, before it has taken over.
        let overrides = stage.config.state.join("modes.json");
        let mut command = std::process::Command::new("mkfifo");
        command.arg(&overrides);
        child::finish(command, &[], SOON)?.success()?;
        let shared = &*stage;
        let given = scope(|scope| {
            let upgrade = scope.spawn(|| shared.daemon.verb_within(&["upgrade"], REPORTED));
            let open = || {
                // The open fails until there is a reader.
                let mut options = File::options();
                options.write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&overrides).ok()
            };
            let mut pipe = wait::until("the successor reads the overrides", REPORTED, open)?;
            let given = scope.spawn(|| orders::order(shared, "observe --all"));
            await_next_report(shared)?;
            await_next_report(shared)?;
            let meanwhile = stored(shared);
            fs::remove_file(&overrides)?;
            pipe.write_all(OVERRIDES.as_bytes())?;
            drop(pipe);
            let upgraded = upgrade.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
            ensure!(upgraded.code == 0, "{upgraded:?}\n{}", shared.daemon.log());
            ensure!(meanwhile == before, "the predecessor took the order: {meanwhile}");
            given.join().map_err(|_| anyhow::anyhow!("it panicked"))?
        })?;
        ensure!(given.code == 0, "{}\n{}", given.text(), stage.daemon.log());
        let serial = given.json()?["waves"][0]["order"]["serial"].to_string();
        let audit = fs::read_to_string(stage.config.state.join("audit.log"))?;
        let lines = audit.lines().filter(|it| it.contains(&format!("\"serial\":{serial}")));
        ensure!(lines.count() == 1, "{audit}");
        let taken = stored(stage);
        ensure!(taken.contains(&serial), "{taken}");
        stage.edge_is_served().context("after the upgrade")
    });
}
