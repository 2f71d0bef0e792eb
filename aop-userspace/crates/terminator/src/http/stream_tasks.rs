//! The tasks of one HTTP/2 connection, one for each open stream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use hyper::rt::Executor;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::upstream::held;

/// The executor for hyper's tasks, which end with the connection.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    all: JoinSet<()>,
    handles: HashMap<Id, AbortHandle>,
}

impl Streams {
    /// Aborts the remaining tasks.
    pub(super) fn end(&self) {
        held(&self.0).all.abort_all();
    }

    /// Aborts one task, which resets its stream.
    pub(super) fn abort(&self, task: Id) {
        if let Some(handle) = held(&self.0).handles.get(&task) {
            handle.abort();
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut tasks = held(&self.0);
        // A task that panicked has logged that, and its stream is reset.
        while let Some(ended) = tasks.all.try_join_next_with_id() {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            tasks.handles.remove(&id);
        }
        let handle = tasks.all.spawn(future);
        tasks.handles.insert(handle.id(), handle);
    }
}
