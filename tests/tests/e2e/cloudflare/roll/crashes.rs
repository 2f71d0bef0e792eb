//! A crash or a fault at every call: the roll goes on, nothing is lost and nothing is doubled.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::cloudflare_api::{Fault, PlannedFault};

use super::{PATIENCE, Scene, on_roll_stage};

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

/// Rolls with this fault, and once more if that ended it. Returns the number of calls that read.
fn survives(scene: &Scene<'_>, planned: PlannedFault) -> Result<usize> {
    scene.reset()?;
    scene.api.plan(planned);
    let before = scene.api.calls().len();
    let mut runs = 0;
    let mut ended = false;
    while !ended {
        runs += 1;
        ensure!(runs <= 3, "it does not end");
        let mut roll = scene.start_roll("roll", &[])?;
        scene.api.set_caller(roll.pid());
        ended = roll.wait(PATIENCE)?.success();
        ensure!(ended || runs == 1, "it failed again: {}", roll.log());
    }
    scene.is_rolled()?;
    let calls = scene.api.calls().into_iter().skip(before);
    Ok(calls.filter(|call| call.method == "GET").count())
}

#[test]
fn a_crash_or_a_fault_at_every_call_of_a_roll_loses_and_doubles_nothing() {
    on_roll_stage(|scene| {
        let claim = || -> Result<usize> {
            // A call that never comes meets no fault: this counts the calls.
            let never = PlannedFault::nth(10_000, Fault::CutBefore);
            let reads = survives(scene, never).context("without a fault")?;
            let mut tried = 0;
            for method in ["POST", "DELETE"] {
                for fault in OF_CHANGES {
                    let planned = PlannedFault::next(fault.clone()).on(method, "");
                    survives(scene, planned).with_context(|| format!("{fault:?} at {method}"))?;
                    tried += 1;
                }
            }
            for nth in 1..=reads {
                let fault = OF_READS[nth % OF_READS.len()].clone();
                let planned = PlannedFault::nth(nth, fault.clone()).on("GET", "");
                survives(scene, planned).with_context(|| format!("{fault:?} at read {nth}"))?;
                tried += 1;
            }
            Ok(tried)
        };
        let (tried, served) = scene.under_load(claim)?;
        eprintln!("{tried} crashes and faults, {served} requests, none lost");
        Ok(())
    });
}

#[test]
fn a_list_that_lags_and_an_answer_that_is_lost_double_nothing() {
    on_roll_stage(|scene| {
        scene.api.edit(|state| state.delays.list_lag = Duration::from_millis(500));
        for fault in [Fault::CutAfter, Fault::CutBefore, Fault::StatusAfter(500), Fault::KillAfter]
        {
            let planned = PlannedFault::next(fault.clone()).on("POST", "");
            scene.under_load(|| survives(scene, planned)).with_context(|| format!("{fault:?}"))?;
        }
        // Longer than is waited for: two are there for a moment, and one is deleted again.
        scene.api.edit(|state| state.delays.list_lag = Duration::from_millis(1500));
        let planned = PlannedFault::next(Fault::CutAfter).on("POST", "");
        scene.under_load(|| survives(scene, planned))?;
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
