//! Times in documents.

use jiff::Timestamp;

/// The time `unix_seconds` after 1970; 1970 where that cannot be represented.
#[must_use]
pub fn timestamp(unix_seconds: u64) -> Timestamp {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
