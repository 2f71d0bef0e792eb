//! Tests of the pauses between reports.

use std::thread;

use super::*;

#[test]
fn a_change_is_reported_a_second_after_the_last_report_and_not_before() {
    let reporter = FleetReporter::default();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            reporter.report_soon();
            reporter.report_soon();
        });
        assert!(reporter.wait(Pause::UntilChange(Duration::from_secs(60)), 0));
    });
    assert!(began.elapsed() >= Pacing::SPACING && began.elapsed() < Duration::from_secs(20));
    // The next one covers both changes.
    assert_eq!(reporter.changes(), 2);
}

#[test]
fn while_etcd_is_away_changes_do_not_hurry_the_attempts() {
    let reporter = FleetReporter::default();
    reporter.report_soon();
    let began = Instant::now();
    assert!(reporter.wait(Pause::Fixed(Duration::from_millis(300)), 0));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_stop_ends_every_wait() {
    let reporter = FleetReporter::default();
    reporter.stop();
    assert!(!reporter.wait(Pause::Change, 0));
    assert!(!reporter.wait(Pause::UntilChange(Duration::from_secs(10)), 0));
}
