//! The tasks of one HTTP/2 connection, one for each open stream.

use std::{collections::HashMap, sync::Arc};

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::{AbortHandle, Id, JoinSet};

/// The executor for hyper's tasks, which end with the connection.
#[derive(Clone, Default)]
pub(super) struct StreamTasks(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    all: JoinSet<()>,
    handles: HashMap<Id, AbortHandle>,
}

impl StreamTasks {
    /// Aborts the remaining tasks.
    pub(super) fn abort_all(&self) {
        self.0.lock().all.abort_all();
    }

    /// Aborts one task, which resets its stream.
    pub(super) fn abort(&self, task: Id) {
        if let Some(handle) = self.0.lock().handles.get(&task) {
            handle.abort();
        }
    }
}

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock();
        // A task that panicked has logged that, and its stream is reset.
        while let Some(ended) = tasks.all.try_join_next_with_id() {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            tasks.handles.remove(&id);
        }
        let handle = tasks.all.spawn(future);
        tasks.handles.insert(handle.id(), handle);
    }
}
