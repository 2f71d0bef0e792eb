//! A result that is given again for a second, so that frequent requests cost little.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

const CACHE_TIME: Duration = Duration::from_secs(1);

/// The last result, and when it was made.
pub(super) struct Cached<T>(Mutex<Option<(Instant, T)>>);

impl<T: Clone> Cached<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::const_new(None))
    }

    /// The result, made by `make` where the last one is too old. Requests that arrive meanwhile
    /// wait for it.
    pub(super) async fn get<E>(&self, make: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut last = self.0.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < CACHE_TIME
        {
            return Ok(result.clone());
        }
        let result = make.await?;
        *last = Some((Instant::now(), result.clone()));
        Ok(result)
    }
}
