//! Rolls on a host that is not as usual: a CA key under a passphrase, a mode that waits to be
//! confirmed, a clock that was ahead, a daemon that refuses to reload, a site of 100 hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::cloudflare_api::{Fault, PlannedFault};
use aop_tests::wait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{PATIENCE, Scene, ZONE, flat, on_changed_cloudflare_stage, on_roll_stage};

impl Scene<'_> {
    /// Nothing was uploaded, and nobody notices that a roll has begun.
    fn is_untouched(&self) -> Result<()> {
        ensure!(self.stored().len() == 1 && self.stored()[0].id == self.edge, "it was uploaded");
        self.stage.edge_is_served()
    }

    /// A private file in the lab.
    fn secret(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.stage.lab.dir().join(name);
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }
}

#[test]
fn a_ca_key_under_a_passphrase_signs_once_the_passphrase_is_given() {
    on_roll_stage(|scene| {
        let [right, wrong] = [("right", "correct horse\n"), ("wrong", "correct house\n")]
            .map(|(name, text)| scene.secret(name, text));
        let (right, wrong) = (right?, wrong?);
        let ca = scene.stage.lab.dir().join("locked-ca");
        let mut create = scene.stage.lab.origin().command(scene.stage.daemon.program());
        create.args(["ca", "create", "--host", ZONE, "--out"]).arg(&ca);
        create.arg("--passphrase-file").arg(&right);
        child::finish(create, &[], PATIENCE)?.success()?;
        scene.configure_ca(&ca.with_extension("pem"))?;

        let [right, wrong] = [right, wrong].map(|it| it.display().to_string());
        // Without a terminal, nobody can be asked.
        let asks = || -> Result<CommandOutput> {
            let mut command = scene.stage.lab.origin().command("setsid");
            command.arg("--wait").arg(scene.stage.daemon.program());
            command.args(scene.line("roll", &[])).arg("--config");
            command.arg(scene.stage.daemon.config_path());
            child::finish(command, &[], PATIENCE)
        };
        for (done, said) in [
            (asks()?, "--passphrase-file"),
            (scene.roll(&["--passphrase-file", &wrong])?, "does not open with this passphrase"),
        ] {
            ensure!(done.code == 1 && done.errors.contains(said), "{done:?}");
            ensure!(done.errors.contains("roll --undo --site example.com"), "{done:?}");
            ensure!(!format!("{done:?}").contains("correct ho"), "it was shown: {done:?}");
            scene.is_untouched()?;
        }
        let (done, _) = scene.under_load(|| scene.roll(&["--passphrase-file", &right]))?;
        let screen = done.success()?.text();
        ensure!(!screen.contains("correct ho"), "{screen}");
        scene.is_rolled()
    });
}

#[test]
fn a_mode_that_waits_to_be_confirmed_and_expires_does_not_touch_the_roll() {
    on_changed_cloudflare_stage(
        |config, _| config.mode = "observe",
        |scene| {
            scene.configure_ca(&scene.stage.lab.pki.client_ca.clone())?;
            scene.stage.daemon.must_run("mode enforce --force --confirm 10s")?;
            let waits = |text: &Value| text["modes"]["pending"].is_null();
            let status = || Ok::<_, anyhow::Error>(scene.stage.daemon.status()?.json().clone());
            ensure!(!waits(&status()?), "nothing waits");
            let (done, _) = scene.under_load(|| scene.roll(&["--settle", "12s"]))?;
            let screen = flat(&done.success()?.text());
            ensure!(screen.contains("note: `aop mode` waits to be confirmed"), "{screen}");
            let text = scene.stage.daemon.must_run("status")?;
            ensure!(waits(&status()?) && !text.contains("enforcing for "), "{text}");
            scene.is_rolled()
        },
    );
}

#[test]
fn a_clock_that_was_ahead_delays_no_roll_and_its_leaves_are_valid_elsewhere() {
    on_roll_stage(|scene| {
        let until_two = || -> Result<()> {
            let look = || -> Result<Option<()>> {
                let done = scene.roll(&["--wait-for", "2", "--wait", "2s"])?;
                Ok(flat(&done.text()).contains("1 of 2 hosts").then_some(()))
            };
            wait::until("it waits for another host", PATIENCE, || look().transpose())?
        };
        scene.under_load(until_two)?;
        // As a clock that was a day ahead would have written it.
        let ahead = |at: &mut Value| -> Result<()> {
            let moment: Timestamp = at.as_str().context("no time")?.parse()?;
            *at = (moment + SignedDuration::from_hours(24)).to_string().into();
            Ok(())
        };
        let mut record = scene.record()?;
        ahead(&mut record["announced"]["at"])?;
        record["steps"]
            .as_array_mut()
            .context("no steps")?
            .iter_mut()
            .try_for_each(|step| ahead(&mut step["at"]))?;
        fs::write(scene.records().join("example.com.json"), record.to_string())?;
        let begun = Instant::now();
        let (done, _) = scene.under_load(|| scene.roll(&["--wait-for", "1"]))?;
        done.success().with_context(|| format!("after {:?}", begun.elapsed()))?;
        scene.is_rolled()?;
        // The clock of another origin may be behind by an hour: it accepts this leaf all the same.
        let seen = scene.stage.daemon.verb(&["identities", "--json"])?.json()?;
        let serial = scene.record()?["leaf"]["serial"].clone();
        let identities = seen["sites"][0]["identities"].as_array().context("no identities")?;
        let ours = identities.iter().find(|it| it["serial"] == serial).context("not ours")?;
        let from: Timestamp = ours["not_before"].as_str().context("no time")?.parse()?;
        let before = Timestamp::now().duration_since(from);
        ensure!(before >= SignedDuration::from_hours(1), "valid for {before} only");
        Ok(())
    });
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_not_uploaded() {
    on_roll_stage(|scene| {
        let ca = scene.stage.lab.dir().join("copy.pem");
        fs::copy(&scene.stage.lab.pki.client_ca, &ca)?;
        scene.configure_ca(&ca)?;
        // Without the key of the CA, the roll makes a request.
        ensure!(scene.roll(&[])?.code == 1);
        let early = scene.stage.lab.pki.not_yet_valid.clone();
        fs::copy(&early.key, scene.records().join("example.com.key"))?;
        let done = scene.roll(&["--certificate", &early.certificate.display().to_string()])?;
        let said = flat(&done.text());
        ensure!(done.code == 1 && said.contains("would refuse the new certificate"), "{done:?}");
        ensure!(said.contains("not_yet_valid") && said.contains("--undo"), "{done:?}");
        scene.is_untouched()?;
        scene.roll(&["--undo"])?.success()?;
        scene.is_untouched()
    });
}

#[test]
fn a_daemon_that_refuses_to_reload_stops_the_roll_and_the_old_policy_stays() {
    on_roll_stage(|scene| {
        // The roll adds this CA to the configuration, so it needs a reload.
        scene.configure_ca(&scene.stage.lab.pki.foreign_ca.clone())?;
        let before = fs::read_to_string(scene.stage.daemon.config_path())?;
        let key = scene.stage.config.sites[0].key.clone();
        let good = fs::read(&key)?;
        let ((), _) = scene.under_load(|| {
            fs::write(&key, "not a key\n")?;
            for _ in 0..2 {
                let stopped = scene.roll(&[])?;
                let said = flat(&stopped.text());
                ensure!(stopped.code == 1, "{stopped:?}");
                for text in [
                    "the daemon did not reload, and the old configuration is in force",
                    "server.key",
                ] {
                    ensure!(said.contains(text), "no {text:?} in {said}");
                }
                let after = fs::read_to_string(scene.stage.daemon.config_path())?;
                ensure!(after == before, "the configuration was changed: {after}");
                ensure!(scene.record()?["last_error"]["text"].is_string(), "no error is kept");
                scene.is_untouched()?;
            }
            let own = scene.stage.daemon.status()?.json()["cloudflare"][0].clone();
            ensure!(own["step"] == "made" && own["last_error"].is_string(), "{own}");
            fs::write(&key, &good)?;
            scene.roll(&[])?.success()?;
            Ok(())
        })?;
        let after = fs::read_to_string(scene.stage.daemon.config_path())?;
        ensure!(after.contains("foreign-ca.pem"), "{after}");
        scene.is_rolled()
    });
}

/// The hosts of a site that has as many as one certificate of the host level can have.
fn hosts() -> Vec<String> {
    let others = (1..100).map(|number| format!("host-{number}.{ZONE}"));
    [ZONE.to_owned()].into_iter().chain(others).collect()
}

#[test]
fn a_site_of_a_hundred_hosts_is_rolled_within_the_limit_of_calls() {
    on_changed_cloudflare_stage(
        |config, _| config.sites[0].hosts = hosts(),
        |scene| {
            scene.configure_ca(&scene.stage.lab.pki.client_ca.clone())?;
            let roll = |verb: &str, more: &[&str]| -> Result<()> {
                let (before, begun) = (scene.api.calls().len(), Instant::now());
                let (done, served) = scene.under_load(|| scene.roll_verb(verb, more))?;
                done.success().with_context(|| format!("{verb} {more:?}"))?;
                let calls = scene.api.calls().split_off(before);
                let took = begun.elapsed();
                eprintln!("{verb} {more:?}: {} calls, {took:?}, {served} requests", calls.len());
                // Beyond 600 in five minutes, a call waits for its turn.
                ensure!(calls.len() < 600 && took < PATIENCE, "{} calls, {took:?}", calls.len());
                Ok(())
            };
            roll("roll", &[])?;
            scene.is_rolled()?;
            roll("roll", &["--level", "host"])?;
            let changes = scene.api.calls();
            let put = changes.iter().rfind(|it| it.method == "PUT").context("no association")?;
            let config = put.body.as_ref().and_then(|it| it["config"].as_array());
            ensure!(config.map(Vec::len) == Some(100), "{put:?}");
            ensure!(
                scene.api.presented("host-99.example.com").is_some_and(|it| it.level == "host")
            );
            roll("back", &["--level", "zone"])?;
            ensure!(
                scene.api.presented("host-99.example.com").is_some_and(|it| it.level == "zone")
            );
            ensure!(scene.stored().len() == 1, "{:?}", scene.stored());
            Ok(())
        },
    );
}

/// A roll with a call that is never answered ends in time, and goes on later.
fn outlasts_silence(silent: impl Fn(&Scene<'_>), uploads: usize) {
    on_roll_stage(|scene| {
        silent(scene);
        let begun = Instant::now();
        let (done, _) = scene.under_load(|| scene.roll(&["--wait", "5s"]))?;
        let took = begun.elapsed();
        ensure!(done.code == 1 && took < Duration::from_secs(45), "{took:?}: {done:?}");
        for text in ["no answer within 30 s", "the roll is not at its end", "same command again"] {
            ensure!(done.errors.contains(text), "no {text:?} in {done:?}");
        }
        ensure!(scene.record()?["last_error"]["text"].is_string(), "no error is kept");
        scene.under_load(|| scene.roll(&[])?.success())?;
        let count = scene.api.calls().iter().filter(|it| it.method == "POST").count();
        ensure!(count == uploads, "{count} uploads");
        scene.is_rolled()
    });
}

#[test]
fn an_upload_that_is_never_answered_ends_the_command_in_time_and_the_roll_goes_on_later() {
    let after = PlannedFault::next(Fault::SilentAfter).on("POST", "");
    outlasts_silence(|scene| scene.api.plan(after.clone()), 1);
}

#[test]
fn a_question_that_is_never_answered_ends_the_command_in_time_and_the_roll_goes_on_later() {
    let silent = PlannedFault::nth(2, Fault::SilentBefore).on("GET", "/settings/ssl");
    outlasts_silence(|scene| scene.api.plan(silent.clone()), 1);
}
