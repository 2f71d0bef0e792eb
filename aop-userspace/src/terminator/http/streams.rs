//! The tasks of one HTTP/2 connection, one for each stream that is being answered.

use std::sync::{Arc, Mutex};

use hyper::rt::Executor;
use tokio::task::JoinSet;

use super::pool::held;

/// Where hyper has its tasks run. They end with the connection.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    /// Ends those that are left.
    pub(super) fn end(&self) {
        held(&self.0).abort_all();
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut tasks = held(&self.0);
        // One that panicked has said so, and its stream is reset.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(future);
    }
}
