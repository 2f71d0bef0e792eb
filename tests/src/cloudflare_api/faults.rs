//! Faults that a test plans.

use std::time::Duration;

/// A fault, in place of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status and a page of HTML; the call had no effect.
    StatusBefore(u16),
    /// The same, but the call had its effect.
    StatusAfter(u16),
    /// 429 with this Retry-After, in seconds; the call had no effect.
    RateLimit(u64),
    /// This status and this error of the API; the call had no effect.
    Refuse(u16, i64, &'static str),
    /// The connection is cut before the call has an effect.
    CutBefore,
    /// The call has its effect, and the connection is cut before the answer.
    CutAfter,
    /// The call has its effect, and the connection is cut in the middle of the answer.
    CutWithin,
    /// No answer ever; the call had no effect.
    SilentBefore,
    /// No answer ever, but the call had its effect.
    SilentAfter,
    /// The right answer, after this time.
    Late(Duration),
    /// The caller is killed before the call has an effect; see
    /// [`CloudflareApi::set_caller`](super::CloudflareApi::set_caller).
    KillBefore,
    /// The same, after the call had its effect.
    KillAfter,
    /// 200 with this body; the call had no effect.
    Body(&'static str),
}

/// A fault, and the call that meets it.
#[derive(Clone, Debug)]
pub struct PlannedFault {
    method: &'static str,
    path: &'static str,
    /// The number of matching calls that pass before it.
    skips: usize,
    /// The number of matching calls that meet it.
    times: usize,
    fault: Fault,
}

impl PlannedFault {
    /// The next call meets `fault`.
    #[must_use]
    pub fn next(fault: Fault) -> Self {
        Self { method: "", path: "", skips: 0, times: 1, fault }
    }

    /// The `nth` call from now meets `fault`; the next one is the first.
    #[must_use]
    pub fn nth(nth: usize, fault: Fault) -> Self {
        Self { skips: nth.saturating_sub(1), ..Self::next(fault) }
    }

    /// Counts only calls of this method whose path contains `path`.
    #[must_use]
    pub fn on(self, method: &'static str, path: &'static str) -> Self {
        Self { method, path, ..self }
    }

    /// So many calls meet it, one after the other.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.times == 0
    }

    /// Counts a call. Returns the fault if this call meets it.
    pub(super) fn count(&mut self, method: &str, path: &str) -> Option<Fault> {
        let matches = (self.method.is_empty() || self.method == method) && path.contains(self.path);
        if !matches || self.times == 0 {
            return None;
        }
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.fault.clone())
    }
}
