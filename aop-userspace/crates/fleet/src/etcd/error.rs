//! Why a call of etcd failed, written for the operator.

use std::{error::Error, iter};

use aop_types::SafeText;
use tonic::{Code, Status};

/// etcd has reached its quota.
pub(crate) const FULL: &str = "etcd is full, and takes no reports and no orders. Compact and \
     defragment it, and disarm its alarm: docs/fleet.md#how-large";

/// The text of an error, of etcd or of the network: untrusted.
type Reason = SafeText<300>;

/// A call of etcd failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EtcdError {
    /// The endpoint cannot be reached, is no etcd, or has no leader. Another one may answer.
    #[error("{0}")]
    Unavailable(Reason),
    /// The endpoint does not answer in time. Another one may.
    #[error("{0}")]
    Silent(Reason),
    /// etcd answers that it has too much to do. To repeat the call at once, or over a new
    /// connection, would make that worse.
    #[error("{0}")]
    Busy(Reason),
    /// etcd refuses the call.
    #[error("{0}")]
    Refused(Reason),
    /// The answer is longer than any that aop reads.
    #[error("the answer of etcd is too long")]
    TooLong,
    /// The state of etcd that was asked for is not kept any more.
    #[error("etcd was compacted while it was read")]
    Compacted,
}

impl EtcdError {
    pub(super) fn unavailable(why: &str) -> Self {
        Self::Unavailable(Reason::new(why))
    }

    pub(super) fn silent(why: &str) -> Self {
        Self::Silent(Reason::new(why))
    }

    fn busy(why: &str) -> Self {
        Self::Busy(Reason::new(why))
    }

    /// The same error, of this endpoint.
    pub(super) fn at(self, endpoint: &str) -> Self {
        let add = |why: Reason| Reason::new(&format!("{endpoint}: {why}"));
        match self {
            Self::Unavailable(why) => Self::Unavailable(add(why)),
            Self::Silent(why) => Self::Silent(add(why)),
            Self::Busy(why) => Self::Busy(add(why)),
            Self::Refused(_) | Self::TooLong | Self::Compacted => self,
        }
    }

    pub(crate) fn refused(why: &str) -> Self {
        Self::Refused(Reason::new(why))
    }

    /// The error of an answer. The codes of etcd's clients that try again
    /// (`isHaltErr` is the opposite) and those of a server that is no etcd are unavailable.
    pub(super) fn of(status: &Status) -> Self {
        let why = status.message();
        match status.code() {
            Code::PermissionDenied => Self::refused(&format!(
                "etcd does not let the certificate do this: {why}. Grant its user the role that \
                 docs/fleet.md names"
            )),
            Code::Unauthenticated => Self::refused(&format!(
                "etcd does not know the certificate: {why}. Its common name must be a user of etcd"
            )),
            // `ErrTooManyRequests` has this code, too.
            Code::ResourceExhausted if why.contains("too many requests") => Self::busy(why),
            // `ErrTimeout` and its variants: a leader is away for a moment, or etcd lags behind.
            Code::Unavailable if why.starts_with("etcdserver: request timed out") => {
                Self::busy(why)
            }
            Code::ResourceExhausted => Self::refused(&format!("{FULL} (etcd says: {why})")),
            Code::OutOfRange if why.contains("compacted") => Self::Compacted,
            // This error is of tonic, which reads no more of the answer than its length.
            Code::OutOfRange if why.contains("message length too large") => Self::TooLong,
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::OutOfRange => Self::refused(&format!("etcd refuses the call: {why}")),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => match status.source() {
                Some(source) => Self::broken(source),
                None if why.is_empty() => Self::unavailable(&status.code().to_string()),
                None => Self::unavailable(why),
            },
        }
    }

    /// A connection that ended, for this reason. A refused certificate ends it after the handshake
    /// of TLS 1.3, and a server of another protocol at its first bytes.
    pub(super) fn broken(error: &(dyn Error + 'static)) -> Self {
        let deepest = iter::successors(Some(error), |&error| error.source()).last();
        let why = deepest.map(ToString::to_string).unwrap_or_default();
        Self::unavailable(&format!(
            "the connection broke: {why}. If this lasts: is it etcd, and does it accept the \
             certificate?"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of etcd 3.4 and 3.5 (`rpctypes/error.go`).
    #[test]
    fn a_full_a_busy_and_a_compacted_etcd_are_told_apart() {
        let full = Status::resource_exhausted("etcdserver: mvcc: database space exceeded");
        let full = EtcdError::of(&full);
        assert!(matches!(full, EtcdError::Refused(_)) && full.to_string().starts_with(FULL));
        let busy = EtcdError::of(&Status::resource_exhausted("etcdserver: too many requests"));
        assert_eq!(busy, EtcdError::busy("etcdserver: too many requests"));
        let late = "etcdserver: request timed out, waiting for the applied index took too long";
        assert_eq!(EtcdError::of(&Status::unavailable(late)), EtcdError::busy(late));
        let alone = "etcdserver: no leader";
        assert_eq!(EtcdError::of(&Status::unavailable(alone)), EtcdError::unavailable(alone));
        let old = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(EtcdError::of(&Status::out_of_range(old)), EtcdError::Compacted);
        let future = "etcdserver: mvcc: required revision is a future revision";
        assert!(matches!(EtcdError::of(&Status::out_of_range(future)), EtcdError::Refused(_)));
    }
}
