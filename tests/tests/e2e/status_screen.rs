//! `aop status` for people, in 80 columns: what it says about the file on disk and about crashes,
//! and that its warnings come last.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull, wait};
use nix::sys::signal::Signal;

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};
use crate::status_check::without_warnings;

/// The screen, in lines of at most 80 columns.
fn screen(stage: &Stage) -> Result<String> {
    let shown = stage.daemon.must_run("status")?;
    let wide = shown.lines().find(|line| line.chars().count() > 80);
    ensure!(wide.is_none(), "{wide:?} in\n{shown}");
    Ok(shown)
}

/// The screen as one line, however it is folded.
fn words(screen: &str) -> String {
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_verdict_is_first_and_last_and_a_healthy_screen_has_24_lines_at_most() {
    on_changed_stage(without_warnings, |stage| {
        stage.edge_is_served()?;
        stage.refuses(
            &Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate(),
            "certificate_required",
        )?;
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        let shown = screen(stage)?;
        let lines: Vec<&str> = shown.lines().collect();
        ensure!(lines.first().is_some_and(|line| line.contains(": OK: enforcing, ")), "{shown}");
        ensure!(lines.last() == Some(&"OK: nothing to do"), "{shown}");
        ensure!(lines.len() <= 24, "{} lines:\n{shown}", lines.len());
        Ok(())
    });
}

#[test]
fn warnings_stand_above_the_last_line() {
    on_changed_stage(
        |config, lab| {
            without_warnings(config, lab);
            config.mode = "observe";
        },
        |stage| {
            stage.daemon.must_run("mode enforce --confirm 5m --force")?;
            stage.daemon.must_run("open --from 192.0.2.10 --for 5m")?;
            let shown = screen(stage)?;
            let last = shown.lines().last().context("nothing")?;
            ensure!(last == "WARNING: 2 warnings above", "{shown}");
            let text = words(&shown);
            ensure!(text.contains("! open to 192.0.2.10/32 for 4 min "), "{shown}");
            ensure!(text.contains(" unless `aop confirm`; then observe WARNING: "), "{shown}");
            Ok(())
        },
    );
}

#[test]
fn a_file_that_is_not_what_runs_is_a_warning_until_the_reload() {
    on_changed_stage(without_warnings, |stage| {
        let changed = |stage: &Stage| anyhow::Ok(stage.daemon.status()?.json()["daemon"].clone());
        ensure!(changed(stage)?["config_changed"].is_null());
        let good = stage.config.text();
        stage.daemon.write(&format!("{good}\n# a comment\n"))?;
        ensure!(changed(stage)?["config_changed"].is_string());
        let text = words(&screen(stage)?);
        ensure!(text.contains("aop.toml was changed ") && text.contains(" UTC) and is not what"));
        ensure!(text.contains("`aop reload` takes it up WARNING: 1 warning above"), "{text}");
        stage.daemon.must_reload()?;
        ensure!(changed(stage)?["config_changed"].is_null());
        ensure!(screen(stage)?.ends_with("OK: nothing to do\n"));
        Ok(())
    });
}

#[test]
fn an_ordered_stop_and_an_upgrade_are_no_crash() {
    on_stage(|stage| {
        stage.daemon.stop()?;
        stage.daemon.run()?;
        ensure!(stage.daemon.status()?.json()["last_crash"].is_null());
        let new = stage.daemon.upgrade()?;
        ensure!(stage.daemon.status()?.json()["last_crash"].is_null());
        new.signal(Signal::SIGTERM)?;
        let ended = || stage.daemon.status().ok().filter(|it| it.json()["daemon"].is_null());
        wait::until("it has ended", SOON, ended)?;
        ensure!(!screen(stage)?.contains("crash"), "a crash without one");
        Ok(())
    });
}

#[test]
fn a_crash_is_shown_with_its_time_and_stays_on_record() {
    on_stage(|stage| {
        stage.daemon.kill();
        let text = words(&screen(stage)?);
        ensure!(text.contains("aop was killed, or it crashed; that run began "), "{text}");
        stage.daemon.run()?;
        let crash = stage.daemon.status()?.json()["last_crash"].clone();
        ensure!(crash["process"] == "daemon" && crash["at"].is_string(), "{crash}");
        let text = words(&screen(stage)?);
        ensure!(text.contains("! last crash ") && text.contains("aop was killed"), "{text}");
        stage.daemon.upgrade()?;
        ensure!(stage.daemon.status()?.json()["last_crash"] == crash);
        Ok(())
    });
}

#[test]
fn lists_without_entries_say_so_and_are_empty_in_json() {
    on_stage(|stage| {
        for (verb, said) in [
            ("identities", "no client certificate seen yet"),
            ("peers", "no peer has authenticated yet"),
            ("open --list", "no opening is in force"),
        ] {
            let shown = stage.daemon.must_run(verb)?;
            ensure!(shown.trim_end().ends_with(said), "{verb}: {shown:?}");
        }
        let peers = stage.daemon.must_run("peers --json")?;
        let peers: serde_json::Value = serde_json::from_str(&peers)?;
        ensure!(peers["peers"] == serde_json::json!([]), "{peers}");
        Ok(())
    });
}

#[test]
fn refusals_of_this_host_are_told_apart() {
    on_stage(|stage| {
        stage.daemon.verb(&["doctor"])?;
        std::thread::sleep(Duration::from_millis(200));
        let own = stage.daemon.status()?.json()["handshakes"]["refused_from_this_host"].clone();
        ensure!(own.as_array().is_some_and(|own| !own.is_empty()), "{own}");
        let text = words(&screen(stage)?);
        ensure!(text.contains("of these from this host itself, as `aop doctor` makes"), "{text}");
        Ok(())
    });
}
