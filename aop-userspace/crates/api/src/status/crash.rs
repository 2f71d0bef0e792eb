//! The last crash, in the status document.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{moment_text, names::stable_names};

/// In seconds: a crash is a warning for this long.
const WARNING: i64 = 86_400;

/// The last time that aop did not end as it was told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashReport {
    /// The process that ended.
    pub process: CrashedProcess,
    /// When it ended; of the daemon and the host: when aop started again and found out.
    pub at: Timestamp,
    /// How it ended, as a sentence.
    pub how: String,
}

stable_names! {
    /// The process that ended, and aop with it.
    CrashedProcess {
        /// The terminator process. The daemon ends with it.
        Terminator = "terminator",
        /// The daemon: it was killed, or it crashed.
        Daemon = "daemon",
        /// The host: it stopped without stopping aop.
        Host = "host",
    }
}

impl CrashReport {
    /// The crash as a sentence.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        let Self { process: _, at, how } = self;
        format!("last crash {}: {how}", moment_text(*at, now))
    }

    /// Whether it is so recent that the operator is warned.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).as_secs() < WARNING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp;

    #[test]
    fn a_crash_is_recent_for_a_day() {
        let crash = CrashReport {
            process: CrashedProcess::Daemon,
            at: timestamp(1_000),
            how: "it was killed".into(),
        };
        assert!(crash.is_recent(timestamp(1_000 + 86_399)));
        assert!(!crash.is_recent(timestamp(1_000 + 86_400)));
        let line = crash.line(timestamp(1_060));
        assert_eq!(line, "last crash 1 min 0 s ago (1970-01-01 00:16 UTC): it was killed");
    }
}
