//! Whether the clock can be right. Certificates and the age of the list depend on it.

use std::path::Path;

use aop_api::VisitorError;
use jiff::Timestamp;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, notice, untried, wrong},
};

/// The directory of systemd-timesyncd. It holds the file `synchronized` once the clock was set.
const TIMESYNC: &str = "/run/systemd/timesync";

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    vec![moment(host, Timestamp::now()), synchronised(Path::new(TIMESYNC))]
}

fn moment(host: &HostContext, now: Timestamp) -> CheckFinding {
    let built = aop_prefixes::snapshot().confirmed.map(|at| (at, "this program was built"));
    let kept = host.config.as_ref().and_then(|config| {
        let found = aop_prefixes::at_start(&config.live.prefixes, &host.paths.state).ok()?;
        let is_kept = found.held.origin == aop_prefixes::ListOrigin::Stored;
        found.held.confirmed.filter(|_| is_kept).map(|at| (at, "the kept prefix list was fetched"))
    });
    let ahead = [built, kept].into_iter().flatten().find(|(at, _)| *at > now);
    match ahead {
        None => good("clock", "the clock is not behind any moment that is known to be past"),
        Some((at, what)) => wrong(
            "clock",
            format!("the clock says {now:.0}, which is before {what}"),
            VisitorError::Tls,
            "set the clock (`timedatectl set-ntp true`): certificates are refused as not yet valid",
        )
        .seen(format!("{what} at {at:.0} or later")),
    }
}

fn synchronised(kept: &Path) -> CheckFinding {
    if kept.join("synchronized").exists() {
        return good("clock_source", "systemd-timesyncd has set the clock");
    }
    if kept.exists() {
        notice("clock_source", "systemd-timesyncd runs, but has not set the clock yet")
            .cure("`timedatectl timesync-status` shows why")
    } else {
        untried(
            "clock_source",
            "systemd-timesyncd does not run here; another program may set the clock",
        )
    }
}

#[cfg(test)]
mod tests {
    use aop_api::FindingOutcome;

    use super::*;

    #[test]
    fn the_clock_source_follows_the_state_of_timesyncd() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = dir.path().join("timesync");
        assert_eq!(synchronised(&kept).outcome, FindingOutcome::Untried);
        std::fs::create_dir(&kept).expect("made");
        assert_eq!(synchronised(&kept).outcome, FindingOutcome::Told);
        std::fs::write(kept.join("synchronized"), "").expect("written");
        assert_eq!(synchronised(&kept).outcome, FindingOutcome::Good);
    }
}
