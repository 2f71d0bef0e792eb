//! Waits for a condition: not for a fixed time, and not forever.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(10);

/// The variable that says how many times slower than usual this machine is, such as an emulated
/// one.
const SLOWER: &str = "AOP_TEST_SLOWER";

/// `patience` on this machine.
pub(crate) fn scaled(patience: Duration) -> Duration {
    let factor = std::env::var(SLOWER).ok().and_then(|factor| factor.parse().ok());
    patience * factor.unwrap_or(1)
}

/// Calls `look` until it returns a value, for at most `patience`.
///
/// # Errors
/// After `patience`. The error contains `what`, the condition in words.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let patience = scaled(patience);
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if start.elapsed() > patience {
            bail!("waited {patience:?} in vain until {what}");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Sleeps until `duration` has passed since `start`.
pub fn until_elapsed(start: Instant, duration: Duration) {
    std::thread::sleep(duration.saturating_sub(start.elapsed()));
}
