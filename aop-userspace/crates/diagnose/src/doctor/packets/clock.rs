//! Whether the clock can be right: certificates and lists are judged by it.

use std::path::Path;

use aop_api::Finding;
use jiff::Timestamp;

use crate::doctor::{
    Patient,
    finding::{More, good, told, untried, visitor, wrong},
};

/// What systemd-timesyncd keeps; the file is there once it has set the clock.
const TIMESYNC: &str = "/run/systemd/timesync";

pub(in crate::doctor) fn look(patient: &Patient) -> Vec<Finding> {
    vec![moment(patient, Timestamp::now()), synchronised(Path::new(TIMESYNC))]
}

fn moment(patient: &Patient, now: Timestamp) -> Finding {
    let built = aop_prefixes::snapshot().confirmed.map(|at| (at, "this program was built"));
    let kept = patient.config.as_ref().and_then(|config| {
        let found = aop_prefixes::at_start(&config.live.prefixes, &patient.paths.state).ok()?;
        let is_kept = found.held.origin == aop_prefixes::Origin::Stored;
        found.held.confirmed.filter(|_| is_kept).map(|at| (at, "the kept prefix list was fetched"))
    });
    let ahead = [built, kept].into_iter().flatten().find(|(at, _)| *at > now);
    match ahead {
        None => good("clock", "the clock is not behind what this host knows to be past"),
        Some((at, what)) => wrong(
            "clock",
            format!("the clock says {now:.0}, which is before {what}"),
            visitor::TLS,
            "set the clock (`timedatectl set-ntp true`): certificates would be refused as not valid yet",
        )
        .seen(format!("{what} at {at:.0} or later")),
    }
}

fn synchronised(kept: &Path) -> Finding {
    if kept.join("synchronized").exists() {
        return good("clock_source", "systemd-timesyncd has set the clock");
    }
    match kept.exists() {
        true => told("clock_source", "systemd-timesyncd runs, and has not set the clock yet")
            .cure("`timedatectl timesync-status` tells why"),
        false => untried(
            "clock_source",
            "no systemd-timesyncd here tells whether the clock is set by others",
        ),
    }
}

#[cfg(test)]
mod tests {
    use aop_api::FindingOutcome;

    use super::*;

    #[test]
    fn who_sets_the_clock_is_told_as_far_as_it_is_known() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = dir.path().join("timesync");
        assert_eq!(synchronised(&kept).result, FindingOutcome::Untried);
        std::fs::create_dir(&kept).expect("made");
        assert_eq!(synchronised(&kept).result, FindingOutcome::Told);
        std::fs::write(kept.join("synchronized"), "").expect("written");
        assert_eq!(synchronised(&kept).result, FindingOutcome::Good);
    }
}
