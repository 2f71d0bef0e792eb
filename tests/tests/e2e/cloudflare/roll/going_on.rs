//! A roll goes on: with what it was begun with, after a refusal at its end, and under another name
//! of its site.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, Child};
use aop_tests::cloudflare_api::{Fault, PlannedFault};
use aop_tests::wait;

use super::{PATIENCE, Scene, ZONE, flat, on_roll_stage};

const OF_TWO: [&str; 4] = ["--wait-for", "2", "--wait", "2s"];

impl Scene<'_> {
    /// Rolls until one of two hosts has seen the new certificate. Returns the screen.
    fn roll_until_one_of_two(&self) -> Result<String> {
        let look = || -> Result<Option<String>> {
            let waiting = self.roll(&OF_TWO)?;
            ensure!(waiting.code == 1, "{waiting:?}");
            let screen = flat(&waiting.text());
            Ok(screen.contains("1 of 2 hosts").then_some(screen))
        };
        wait::until("one of two hosts", PATIENCE, || look().transpose())?
    }

    fn report_of(&self, host: &str, site: &str, document: &str) -> Result<child::CommandOutput> {
        let mut command = self.stage.lab.origin().command(self.stage.daemon.program());
        command.args(["cloudflare", "report", "--site", site, "--from", host, "--config"]);
        command.arg(self.stage.daemon.config_path());
        child::finish(command, document.as_bytes(), PATIENCE)
    }
}

#[test]
fn the_printed_command_goes_on_with_what_the_roll_was_begun_with() {
    on_roll_stage(|scene| {
        let (screen, _) = scene.under_load(|| scene.roll_until_one_of_two())?;
        let (_, command) = screen.split_once("Go on with it: `aop ").context("no command")?;
        let command = command.split('`').next().context("no end")?;
        let words: Vec<&str> = command.split(' ').collect();
        let mut line = vec![scene.stage.daemon.program().to_owned()];
        line.extend(words.iter().map(Into::into));
        let log = scene.stage.lab.dir().join("printed.log");
        scene.under_load(|| {
            let mut printed = Child::serve(scene.stage.lab.origin(), &line, &log)?;
            wait::until("it waits again", PATIENCE, || {
                flat(&printed.log()).contains("1 of 2 hosts").then_some(())
            })?;
            ensure!(scene.stored().len() == 2, "the old one was deleted");
            ensure!(scene.record()?["wait_for"] == 2, "{}", scene.record()?);
            let mut look = || -> Result<Option<()>> {
                let seen = scene.stage.daemon.must_run("identities --json")?;
                if printed.ended().is_some() {
                    return Ok(Some(()));
                }
                scene.report_of("web2", ZONE, &seen)?;
                Ok(None)
            };
            wait::until("the roll ends", PATIENCE, || look().transpose())??;
            ensure!(printed.wait(PATIENCE)?.success(), "{}", printed.log());
            Ok(())
        })?;
        scene.is_rolled()
    });
}

#[test]
fn a_report_of_another_site_or_of_this_host_is_refused() {
    on_roll_stage(|scene| {
        scene.under_load(|| scene.roll_until_one_of_two())?;
        let empty = scene.report_of("web9", ZONE, "{\"sites\": []}")?;
        ensure!(empty.code == 1 && empty.errors.contains("has no site example.com"), "{empty:?}");
        let seen = scene.stage.daemon.must_run("identities --json")?;
        let here = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
        let own = scene.report_of(here.trim_end(), ZONE, &seen)?;
        ensure!(own.code == 1 && own.errors.contains("counts by itself"), "{own:?}");
        Ok(())
    });
}

#[test]
fn a_refused_deletion_is_not_undone_and_the_roll_ends_later() {
    on_roll_stage(|scene| {
        let ((), served) = scene.under_load(|| {
            let refuse = || Fault::Refuse(400, 1404, "no");
            scene.api.plan(PlannedFault::next(refuse()).on("DELETE", ""));
            let refused = scene.roll(&[])?;
            ensure!(refused.code == 1 && !refused.errors.contains("--undo"), "{refused:?}");
            let undone = scene.roll(&["--undo"])?;
            ensure!(undone.code == 1 && undone.errors.contains("nothing to go back"), "{undone:?}");
            ensure!(scene.record()?["undo"].is_null(), "{}", scene.record()?);
            scene.roll(&[])?.success().map(drop)
        })?;
        eprintln!("{served} requests, none lost");
        scene.is_rolled()
    });
}

#[test]
fn a_roll_is_found_under_the_new_name_of_its_site() {
    on_roll_stage(|scene| {
        scene.under_load(|| scene.roll_until_one_of_two())?;
        scene.stage.config.site().hosts = vec!["www.example.com".into(), ZONE.into()];
        let ca = scene.stage.lab.pki.client_ca.clone();
        scene.configure_ca(&ca)?;
        scene.stage.daemon.must_reload()?;
        let status = flat(&scene.stage.daemon.verb(&["status"])?.text());
        ensure!(status.contains("the roll of example.com at Cloudflare is not at"), "{status}");
        let rolled = || scene.roll(&["--wait-for", "1", "--wait", "50s"])?.success();
        let (done, _) = scene.under_load(rolled)?;
        let screen = flat(&done.text());
        ensure!(screen.contains("was called example.com when this roll began"), "{screen}");
        ensure!(!scene.records().join("example.com.json").exists(), "the old record stayed");
        let stored = scene.stored();
        ensure!(stored.len() == 1 && stored[0].id != scene.edge, "{stored:?}");
        let status = flat(&scene.stage.daemon.verb(&["status"])?.text());
        ensure!(!status.contains("no site is called so"), "{status}");
        wait::until("it is served", Duration::from_secs(10), || {
            scene.pull().and_then(|pull| pull.must_be_served()).ok()
        })
        .map(drop)
    });
}
