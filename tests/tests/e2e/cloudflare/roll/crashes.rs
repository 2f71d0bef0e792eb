//! A crash or a fault at every call: the roll goes on, nothing is lost and nothing is doubled.
//!
//! [`TABLE`] has the commands whose calls meet faults: each call that changes something meets each
//! of [`OF_CHANGES`] once. A run of a command meets one fault at each of its calls, each time
//! another one, so that nine runs are all pairs of a call and a fault.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::cloudflare_api::{Fault, PlannedFault};

use super::{PATIENCE, Scene, ZONE, flat, on_roll_stage};

/// Faults of calls that change something.
const OF_CHANGES: [Fault; 9] = [
    Fault::StatusBefore(500),
    Fault::StatusAfter(502),
    Fault::RateLimit(1),
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::CutWithin,
    Fault::Body("<html>"),
    Fault::KillBefore,
    Fault::KillAfter,
];

/// Faults of calls that read.
const OF_READS: [Fault; 5] = [
    Fault::StatusBefore(503),
    Fault::CutBefore,
    Fault::CutWithin,
    Fault::Body("{\"success\": true, \"result\": {}}"),
    Fault::KillBefore,
];

/// The calls of a roll at the host level that read, by a part of their path.
const READS: [&str; 8] = [
    "/zones?name=",
    "/settings/ssl",
    "/settings/tls_client_auth",
    "/origin_tls_client_auth/settings",
    "/origin_tls_client_auth?page=",
    "/hostnames/certificates?page=",
    "/hostnames/certificates/",
    "/hostnames/example.com",
];

/// A roll of a zone reads more often than this.
const LEAST_READS: usize = 30;

/// A change at Cloudflare: a method, and a part of the path.
type Change = (&'static str, &'static str);

const UPLOAD: Change = ("POST", "");
const DELETE: Change = ("DELETE", "");
const SWITCH: Change = ("PUT", "/origin_tls_client_auth/settings");
const ASSOCIATE: Change = ("PUT", "/hostnames");
const SWITCH_GLOBAL: Change = ("PATCH", "/settings/tls_client_auth");

/// A command, and its calls that meet faults.
struct Step {
    verb: &'static str,
    more: &'static [&'static str],
    changes: &'static [Change],
    /// The text of a wait at which it ends; `None` if it comes to its end.
    waits: Option<&'static str>,
}

impl Step {
    const fn new(
        verb: &'static str,
        more: &'static [&'static str],
        changes: &'static [Change],
    ) -> Self {
        Self { verb, more, changes, waits: None }
    }

    const fn until(self, waits: &'static str) -> Self {
        Self { waits: Some(waits), ..self }
    }
}

/// Commands, one after the other.
struct Row {
    name: &'static str,
    begin: fn(&Scene<'_>) -> Result<()>,
    steps: &'static [Step],
    is_right: fn(&Scene<'_>) -> Result<()>,
}

const UNDO: &[&str] = &["--undo"];
const OF_TWO: &[&str] = &["--wait-for", "2", "--wait", "2s"];
const SEEN: &str = "1 of 2 hosts";

const TABLE: [Row; 8] = [
    Row {
        name: "a roll of the zone",
        begin: |scene| scene.reset(),
        steps: &[Step::new("roll", &[], &[UPLOAD, DELETE])],
        is_right: |scene| scene.is_rolled(),
    },
    Row {
        name: "from the global certificate to the zone's",
        begin: |scene| scene.global(),
        steps: &[Step::new("roll", &[], &[SWITCH])],
        is_right: |scene| scene.is_rolled(),
    },
    Row {
        name: "a roll of a host",
        begin: |scene| scene.of_host(),
        steps: &[Step::new("roll", &[], &[UPLOAD, ASSOCIATE, DELETE])],
        is_right: is_rolled_for_host,
    },
    Row {
        name: "back to the zone's certificate",
        begin: |scene| scene.of_host(),
        steps: &[Step::new("back", &["--level", "zone"], &[ASSOCIATE, DELETE])],
        is_right: is_as_before,
    },
    Row {
        name: "a roll of the zone is undone",
        begin: |scene| scene.reset(),
        steps: &[Step::new("roll", OF_TWO, &[]).until(SEEN), Step::new("roll", UNDO, &[DELETE])],
        is_right: is_as_before,
    },
    Row {
        name: "a roll of a host is undone",
        begin: |scene| scene.of_host(),
        steps: &[
            Step::new("roll", OF_TWO, &[]).until(SEEN),
            Step::new("roll", UNDO, &[ASSOCIATE, DELETE]),
        ],
        is_right: is_of_host,
    },
    Row {
        name: "deployments that time out",
        begin: |scene| {
            scene.reset()?;
            scene.api.edit(|state| state.deployments_time_out = true);
            Ok(())
        },
        steps: &[
            Step::new("roll", &[], &[DELETE]).until("deployment_timed_out"),
            Step::new("roll", UNDO, &[DELETE]),
        ],
        is_right: is_as_before,
    },
    // Nobody here has the key of Cloudflare's global certificate: it never arrives.
    Row {
        name: "back to the global certificate, and undone",
        begin: |scene| scene.reset(),
        steps: &[
            Step::new("back", &["--level", "global", "--wait", "1s"], &[SWITCH_GLOBAL, SWITCH])
                .until("waits for a pull"),
            Step::new("roll", UNDO, &[SWITCH, SWITCH_GLOBAL]),
        ],
        is_right: is_as_before,
    },
];

impl Scene<'_> {
    /// As it was before any roll, with a certificate for the host that is presented.
    fn of_host(&self) -> Result<()> {
        self.reset()?;
        let (certificate, key) = super::super::read(&self.stage.lab.pki.edge)?;
        self.api.edit(|state| {
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, ZONE, &id, Some(true));
        });
        Ok(())
    }
}

fn is_rolled_for_host(scene: &Scene<'_>) -> Result<()> {
    let stored = scene.stored();
    ensure!(stored.len() == 2 && stored[0].id == scene.edge, "{stored:?}");
    ensure!(scene.associated().as_ref() == Some(&stored[1].id), "another one is associated");
    let edge = super::super::read(&scene.stage.lab.pki.edge)?.0;
    ensure!(stored[1].of_hosts && stored[1].certificate != edge, "the old one is still there");
    scene.pull()?.must_be_served().map(drop)
}

/// The certificate of the host is there, and no other than before.
fn is_of_host(scene: &Scene<'_>) -> Result<()> {
    let stored = scene.stored();
    let edge = super::super::read(&scene.stage.lab.pki.edge)?.0;
    ensure!(stored.len() == 2 && stored.iter().all(|it| it.certificate == edge), "{stored:?}");
    ensure!(scene.associated().as_ref() == Some(&stored[1].id), "another one is associated");
    scene.pull()?.must_be_served().map(drop)
}

/// The zone is as it was, and no host has a certificate of its own.
fn is_as_before(scene: &Scene<'_>) -> Result<()> {
    let stored = scene.stored();
    ensure!(stored.len() == 1 && stored[0].id == scene.edge, "{stored:?}");
    ensure!(scene.associated().is_none(), "still associated");
    let switches = scene.api.edit_zone(ZONE, |it| (it.zone, it.global));
    ensure!(switches == (true, false), "{switches:?}");
    scene.pull()?.must_be_served().map(drop)
}

/// As [`run_to_end`], and each fault is met.
fn survives(scene: &Scene<'_>, step: &Step, faults: Vec<(Fault, PlannedFault)>) -> Result<()> {
    let unmet = run_to_end(scene, step, faults)?;
    ensure!(unmet.is_empty(), "met by no call: {unmet:?}");
    Ok(())
}

/// Runs a command whose calls meet these faults, and runs it again after each death. Returns the
/// faults that no call met.
fn run_to_end(
    scene: &Scene<'_>,
    step: &Step,
    faults: Vec<(Fault, PlannedFault)>,
) -> Result<Vec<PlannedFault>> {
    let kills = [Fault::KillBefore, Fault::KillAfter];
    let kills = faults.iter().filter(|(fault, _)| kills.contains(fault)).count();
    let (most, mut refused) = (faults.len(), 0);
    faults.into_iter().for_each(|(_, planned)| scene.api.plan(planned));
    let (mut deaths, begun) = (0, Instant::now());
    loop {
        let mut roll = scene.start_roll(step.verb, step.more)?;
        scene.api.set_caller(Some(roll.pid()));
        let status = roll.wait(PATIENCE)?;
        scene.api.set_caller(None);
        if status.signal().is_some() {
            deaths += 1;
            ensure!(deaths <= kills, "it dies by itself: {}", roll.log());
            continue;
        }
        // Before there is a record, nothing is begun, and a fault ends the command.
        if !status.success() && scene.record().is_err() && refused < most {
            refused += 1;
            continue;
        }
        // A busy machine may need more than one run to come to a wait.
        match step.waits {
            None => ensure!(status.success(), "it failed: {}", roll.log()),
            Some(text) if flat(&roll.log()).contains(text) => {}
            Some(_) if begun.elapsed() < PATIENCE => continue,
            Some(text) => anyhow::bail!("no {text:?} in: {}", roll.log()),
        }
        let unmet = scene.api.planned();
        ensure!(deaths == kills || !unmet.is_empty(), "{deaths} deaths");
        return Ok(unmet);
    }
}

#[test]
fn a_crash_or_a_fault_at_every_change_of_every_command_loses_and_doubles_nothing() {
    on_roll_stage(|scene| {
        let edge = super::super::read(&scene.stage.lab.pki.edge)?;
        scene.api.edit(|state| state.global = Some(edge));
        let claim = || -> Result<usize> {
            let mut tried = 0;
            for row in &TABLE {
                let begun = Instant::now();
                for run in 0..OF_CHANGES.len() {
                    (row.begin)(scene)?;
                    for step in row.steps {
                        let faults =
                            step.changes.iter().enumerate().map(|(place, (method, path))| {
                                let fault =
                                    OF_CHANGES[(run + 4 * place) % OF_CHANGES.len()].clone();
                                (fault.clone(), PlannedFault::next(fault).on(method, path))
                            });
                        let faults: Vec<_> = faults.collect();
                        tried += faults.len();
                        let about = format!("{}, {faults:?}", row.name);
                        survives(scene, step, faults).with_context(|| about)?;
                    }
                    (row.is_right)(scene).with_context(|| format!("{}, run {run}", row.name))?;
                }
                eprintln!("{}: {:.1} s", row.name, begun.elapsed().as_secs_f32());
            }
            Ok(tried)
        };
        let (tried, served) = scene.under_load(claim)?;
        eprintln!("{tried} crashes and faults, {served} requests, none lost");
        Ok(())
    });
}

#[test]
fn a_fault_at_every_read_and_a_crash_in_every_turn_of_a_roll_loses_and_doubles_nothing() {
    on_roll_stage(|scene| {
        let claim = || -> Result<usize> {
            let row = |name: &str| TABLE.iter().find(|it| it.name == name).context("no such row");
            let mut tried = 0;
            // Each kind of read meets each fault.
            let host = row("a roll of a host")?;
            for run in 0..OF_READS.len() {
                (host.begin)(scene)?;
                let faults = READS.iter().enumerate().map(|(place, path)| {
                    let fault = OF_READS[(run + place) % OF_READS.len()].clone();
                    (fault.clone(), PlannedFault::next(fault).on("GET", path))
                });
                let faults: Vec<_> = faults.collect();
                tried += faults.len();
                survives(scene, &host.steps[0], faults).with_context(|| format!("run {run}"))?;
                (host.is_right)(scene)?;
            }
            // A death in each turn of a whole roll. A turn has seven reads, and writes nothing
            // between them. The number of turns depends on the time that each takes: the first
            // roll that ends before its death was due is the last one.
            let zone = row("a roll of the zone")?;
            for nth in (1..).step_by(3) {
                (zone.begin)(scene)?;
                let planned = PlannedFault::nth(nth, Fault::KillBefore).on("GET", "");
                let unmet = run_to_end(scene, &zone.steps[0], vec![(Fault::KillBefore, planned)])
                    .with_context(|| format!("at read {nth}"))?;
                (zone.is_right)(scene)?;
                if unmet.is_empty() {
                    tried += 1;
                    continue;
                }
                scene.api.heal();
                ensure!(nth > LEAST_READS, "a whole roll has fewer than {nth} reads");
                break;
            }
            Ok(tried)
        };
        let (tried, served) = scene.under_load(claim)?;
        eprintln!("{tried} crashes and faults, {served} requests, none lost");
        Ok(())
    });
}

/// A roll of the zone whose upload meets `fault`.
fn uploads_through(scene: &Scene<'_>, fault: &Fault) -> Result<()> {
    scene.reset()?;
    let planned = PlannedFault::next(fault.clone()).on("POST", "");
    let step = Step::new("roll", &[], &[]);
    let run = || survives(scene, &step, vec![(fault.clone(), planned)]);
    scene.under_load(run).with_context(|| format!("{fault:?}"))?;
    scene.is_rolled()
}

#[test]
fn a_list_that_lags_and_an_answer_that_is_lost_double_nothing() {
    on_roll_stage(|scene| {
        scene.api.edit(|state| state.delays.list_lag = Duration::from_millis(500));
        for fault in [Fault::CutAfter, Fault::CutBefore, Fault::StatusAfter(500), Fault::KillAfter]
        {
            uploads_through(scene, &fault)?;
        }
        // The list shows the first upload longer after it than the rest of a roll takes: two are
        // there, and the roll waits until it has deleted one of them.
        scene.api.edit(|state| state.delays.list_lag = Duration::from_secs(6));
        for fault in [Fault::CutAfter, Fault::KillAfter] {
            let before = scene.api.calls().len();
            uploads_through(scene, &fault)?;
            let calls = scene.api.calls().split_off(before);
            let count = |method: &str| calls.iter().filter(|it| it.method == method).count();
            let changes = (count("POST"), count("DELETE"));
            ensure!(changes == (2, 2), "{changes:?} uploads and deletions with {fault:?}");
        }
        Ok(())
    });
}

#[test]
fn a_deployment_that_times_out_is_made_again_three_times() {
    on_roll_stage(|scene| {
        scene.api.edit(|state| state.deployments_time_out = true);
        let done = scene.roll(&[])?;
        ensure!(done.code == 1 && done.text().contains("deployment_timed_out"), "{done:?}");
        let uploads = scene.api.calls().into_iter().filter(|it| it.method == "POST").count();
        ensure!(uploads == 4, "{uploads} uploads");
        ensure!(scene.stored().len() == 2, "one of ours and the old one: {:?}", scene.stored());
        // The old one is still presented, and undo leaves it alone.
        scene.pull()?.must_be_served()?;
        scene.roll(&["--undo"])?.success()?;
        ensure!(scene.stored().len() == 1 && scene.stored()[0].id == scene.edge);
        scene.reset()?;
        scene.under_load(|| scene.roll(&[])?.success())?;
        scene.is_rolled()
    });
}
