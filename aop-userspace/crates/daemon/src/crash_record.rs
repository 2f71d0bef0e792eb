//! Whether the last run of aop ended as it was told to, in `paths.state`: `running.json` is there
//! while a daemon runs, and `last-crash.json` has the last crash.
//!
//! Nothing is decided by them, so a file that cannot be used is reported and ignored.

use std::{fs, io, path::Path};

use aop_api::{CrashReport, CrashedProcess};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Daemon, DaemonError, ShutdownOutcome, terminator_handle::TerminatorError};

const RUNNING: &str = "running.json";
const CRASH: &str = "last-crash.json";

/// Changes with each boot of the host.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A run that has begun and not ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    since: Timestamp,
    boot: String,
}

/// How this daemon began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// By a start: no other daemon runs.
    Started,
    /// By an upgrade: the file of the predecessor is there.
    TookOver,
}

/// The last crash, as a daemon that begins finds it. Call it under the instance lock.
pub(crate) fn find(state: &Path, beginning: Beginning) -> Option<CrashReport> {
    let found = || -> io::Result<Option<CrashReport>> {
        match (beginning, unfinished(state)?) {
            (Beginning::Started, Some(run)) => Ok(Some(crash_of(&run, &boot()))),
            (Beginning::Started, None) | (Beginning::TookOver, _) => stored(state),
        }
    };
    found().unwrap_or_else(|error| {
        tracing::warn!("{}: cannot read how the last run ended: {error}", state.display());
        None
    })
}

/// Notes that a daemon runs, and the crash that it found.
pub(crate) fn begin(state: &Path, crash: Option<&CrashReport>) {
    let store = || -> io::Result<()> {
        if let Some(crash) = crash {
            aop_storage::write(state, CRASH, &serde_json::to_vec(crash)?)?;
        }
        let run = Run { since: Timestamp::now(), boot: boot() };
        aop_storage::write(state, RUNNING, &serde_json::to_vec(&run)?)
    };
    if let Err(error) = store() {
        tracing::warn!(
            "{}: cannot store that aop runs: {error}. The status after a crash will not show it",
            state.display()
        );
    }
}

/// The stored crash, and since when a run has not ended. Neither where it cannot be read.
#[must_use]
pub fn stored_crash(state: &Path) -> (Option<CrashReport>, Option<Timestamp>) {
    let run = unfinished(state).ok().flatten();
    (stored(state).ok().flatten(), run.map(|run| run.since))
}

impl Daemon {
    /// Stores how this run ended, unless another daemon runs.
    pub(super) fn record_end(&self, ended: &Result<ShutdownOutcome, DaemonError>) {
        if self.lifecycle.is_handed_over() {
            return;
        }
        let state = &self.settings.paths.state;
        let stored = match ended {
            Ok(_) => Ok(()),
            Err(error) => serde_json::to_vec(&crash_by(error, Timestamp::now()))
                .map_err(io::Error::from)
                .and_then(|crash| aop_storage::write(state, CRASH, &crash)),
        };
        if let Err(error) = stored.and_then(|()| aop_storage::remove(state, RUNNING)) {
            tracing::warn!("{}: cannot store how aop ended: {error}", state.display());
        }
    }
}

/// The crash by which a daemon ends in order.
fn crash_by(error: &DaemonError, at: Timestamp) -> CrashReport {
    if let DaemonError::Terminator(TerminatorError::Exited { how }) = error {
        let how = format!("the terminator process ended, {how}, and aop with it");
        CrashReport { process: CrashedProcess::Terminator, at, how }
    } else {
        CrashReport { process: CrashedProcess::Daemon, at, how: error.to_string() }
    }
}

/// The crash that left `run` without an end.
fn crash_of(run: &Run, boot: &str) -> CrashReport {
    let (process, how) = if run.boot == boot {
        (CrashedProcess::Daemon, "aop was killed, or it crashed: see `journalctl -u aop`")
    } else {
        (CrashedProcess::Host, "the host stopped without stopping aop")
    };
    CrashReport { process, at: Timestamp::now(), how: how.to_owned() }
}

fn unfinished(state: &Path) -> io::Result<Option<Run>> {
    let text = aop_storage::read(state, RUNNING)?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

fn stored(state: &Path) -> io::Result<Option<CrashReport>> {
    let text = aop_storage::read(state, CRASH)?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

/// Empty where the kernel does not tell it.
fn boot() -> String {
    fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_an_end_is_a_crash_and_stays_on_record() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path();
        assert_eq!(find(state, Beginning::Started), None);
        begin(state, None);
        assert_eq!(find(state, Beginning::TookOver), None, "the predecessor still runs");
        let crash = find(state, Beginning::Started).expect("a crash");
        assert_eq!(crash.process, CrashedProcess::Daemon);
        begin(state, Some(&crash));
        aop_storage::remove(state, RUNNING).expect("ended");
        assert_eq!(find(state, Beginning::Started), Some(crash.clone()));
        assert_eq!(stored_crash(state), (Some(crash), None));
    }

    #[test]
    fn a_run_of_an_earlier_boot_was_ended_by_the_host() {
        let run = Run { since: Timestamp::UNIX_EPOCH, boot: "before".into() };
        assert_eq!(crash_of(&run, "now").process, CrashedProcess::Host);
        assert_eq!(crash_of(&run, "before").process, CrashedProcess::Daemon);
    }

    #[test]
    fn a_damaged_file_is_no_crash_and_the_death_of_the_terminator_is_one() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(RUNNING), "{").expect("written");
        assert_eq!(find(dir.path(), Beginning::Started), None);
        let how = "signal: 9 (SIGKILL)".to_owned();
        let crash = crash_by(&TerminatorError::Exited { how }.into(), Timestamp::UNIX_EPOCH);
        assert_eq!(crash.process, CrashedProcess::Terminator);
        assert!(crash.how.contains("SIGKILL"), "{}", crash.how);
    }
}
