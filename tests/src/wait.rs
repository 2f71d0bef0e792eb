//! Waiting for something to become true, never for a fixed time and never for ever.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(10);

/// Asks `look` until it gives a value, at most for `patience`.
///
/// # Errors
/// After `patience`, naming `what` was awaited.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
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
