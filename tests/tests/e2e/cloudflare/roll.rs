//! `aop cloudflare roll` and `back`: whole rolls, with an edge that presents what the server says
//! is deployed, and requests through every step.

mod crashes;
mod going_on;
mod levels;
mod of_fleet;
mod refusals;
mod this_host;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, Child, CommandOutput};
use aop_tests::cloudflare_api::{Delays, StoredCertificate};
use aop_tests::{IpVersion, Pull};
use serde_json::Value;

use super::{Scene, TOKEN, ZONE, on_changed_cloudflare_stage, on_cloudflare_stage};

/// The longest time that a roll may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `claim` where rolls can be made: with the client CA of the stage and its key.
fn on_roll_stage(claim: impl FnOnce(&mut Scene<'_>) -> Result<()>) {
    on_cloudflare_stage(|scene| {
        let ca = scene.stage.lab.pki.client_ca.clone();
        scene.configure_ca(&ca)?;
        claim(scene)
    });
}

/// The arguments that make a roll fast.
const FAST: [&str; 6] = ["--settle", "300ms", "--list-lag", "700ms", "--wait", "30s"];

impl Scene<'_> {
    fn configure_ca(&self, ca: &Path) -> Result<()> {
        let token = self.token_file(TOKEN, 0o600)?;
        let api = self.api.url();
        self.configure_with(&format!("token_file = {token:?}\napi = {api:?}\nca = {ca:?}\n"))
    }

    fn line(&self, verb: &str, more: &[&str]) -> Vec<String> {
        let fast = FAST.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten().copied();
        let fast: Vec<&str> = fast.collect();
        let line = [&["cloudflare", verb, "--site", ZONE][..], &fast, more].concat();
        line.into_iter().map(str::to_owned).collect()
    }

    fn roll(&self, more: &[&str]) -> Result<CommandOutput> {
        self.roll_verb("roll", more)
    }

    fn roll_verb(&self, verb: &str, more: &[&str]) -> Result<CommandOutput> {
        let mut command = self.stage.lab.origin().command(self.stage.daemon.program());
        command.args(self.line(verb, more)).arg("--config").arg(self.stage.daemon.config_path());
        child::finish(command, &[], PATIENCE)
    }

    /// The same, in the background.
    fn start_roll(&self, verb: &str, more: &[&str]) -> Result<Child> {
        let mut line = vec![self.stage.daemon.program().to_owned()];
        line.extend(self.line(verb, more).iter().map(PathBuf::from));
        line.extend(["--config".into(), self.stage.daemon.config_path()]);
        let log = self.stage.lab.dir().join("roll.log");
        Child::serve(self.stage.lab.origin(), &line, &log)
    }

    fn records(&self) -> PathBuf {
        self.stage.config.state.join("cloudflare")
    }

    fn record(&self) -> Result<Value> {
        let text = fs::read(self.records().join("example.com.json"))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The certificates of the zone, of both levels.
    fn stored(&self) -> Vec<StoredCertificate> {
        let now = Instant::now();
        self.api.edit_zone(ZONE, |zone| {
            let stays = zone.certificates.iter().filter(|it| it.status(now).is_some());
            stays.cloned().collect()
        })
    }

    /// One new certificate is there and presented, and the old one is gone.
    fn is_rolled(&self) -> Result<()> {
        let stored = self.stored();
        ensure!(stored.len() == 1, "{} certificates: {stored:?}", stored.len());
        ensure!(stored[0].id != self.edge, "the old one is still there");
        let presented = self.api.presented(ZONE).context("nothing is presented")?;
        ensure!(presented.certificate == stored[0].certificate, "another one is presented");
        let left: Vec<_> =
            fs::read_dir(self.records())?.flatten().map(|it| it.file_name()).collect();
        ensure!(!left.iter().any(|it| it.as_encoded_bytes().ends_with(b".key")), "{left:?}");
        self.pull()?.must_be_served().map(drop)
    }

    /// As it was before any roll.
    fn reset(&self) -> Result<()> {
        self.api.heal();
        self.change(|_| ());
        self.api.edit(|state| state.deployments_time_out = false);
        if self.records().exists() {
            fs::remove_dir_all(self.records())?;
        }
        Ok(())
    }

    /// Carries out `act` while the edge pulls without a pause, with the certificate that Cloudflare
    /// presents. Every pull must be served. Returns how many there were.
    fn under_load<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<(T, usize)> {
        let (ended, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        let directory = self.stage.lab.dir().join("load");
        fs::create_dir_all(&directory)?;
        let load = || -> Result<()> {
            while !ended.load(Ordering::Relaxed) {
                let pull = Pull::by_edge(&self.stage.lab, IpVersion::V4);
                let files = self.api.presented_in(ZONE, &directory)?;
                let outcome = pull.certificate(&files.context("nothing presented")?).send()?;
                ensure!(outcome.served(), "a request was lost: {outcome}");
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let done = thread::scope(|scope| {
            let load = scope.spawn(load);
            let done = act();
            ended.store(true, Ordering::Relaxed);
            load.join().expect("no panic").and(done)
        })?;
        Ok((done, served.into_inner()))
    }
}

/// The words of a screen, whatever its lines.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn steps(record: &Value) -> Vec<String> {
    let steps = record["steps"].as_array().into_iter().flatten();
    steps.map(|step| step["step"].as_str().unwrap_or_default().to_owned()).collect()
}

const ALL_STEPS: [&str; 8] =
    ["made", "trusted", "uploaded", "active", "switched_on", "seen", "settled", "done"];

#[test]
fn a_whole_roll_of_the_zone_loses_no_request() {
    on_roll_stage(|scene| {
        let short = Duration::from_millis(400);
        scene.api.edit(|state| {
            let (initializing, deployment, deletion) = (short, short, short);
            state.delays = Delays { initializing, deployment, deletion, ..Delays::default() };
        });
        let begun = Instant::now();
        let (done, served) = scene.under_load(|| scene.roll(&[]))?;
        let screen = done.success()?.text();
        eprintln!("{served} requests, {:.1} s\n{screen}", begun.elapsed().as_secs_f32());
        scene.is_rolled()?;
        ensure!(served > 5, "{served} requests only");
        ensure!(steps(&scene.record()?) == ALL_STEPS, "{}", scene.record()?);
        for (number, step) in ALL_STEPS.iter().enumerate() {
            ensure!(screen.contains(&format!("[{}/8] ", number + 1)), "{screen}");
            ensure!(screen.contains(&format!(" {step} ")), "{screen}");
        }
        ensure!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        // The next one replaces that one.
        let first = scene.stored()[0].id.clone();
        let (done, _) = scene.under_load(|| scene.roll(&["--json"]))?;
        let document = done.success()?.json()?;
        ensure!(document["state"] == "done" && document["site"] == ZONE, "{document}");
        ensure!(document["steps"].as_array().map(Vec::len) == Some(8), "{document}");
        scene.is_rolled()?;
        ensure!(scene.stored()[0].id != first, "it was not replaced");
        Ok(())
    });
}
