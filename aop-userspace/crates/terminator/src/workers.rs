//! The threads that serve. Each has a runtime of its own and keeps what it is given: whatever
//! happens on a connection crosses no thread, and wakes none.

use std::{
    io,
    sync::Arc,
    thread::{self, available_parallelism},
};

use tokio::runtime::{Builder, Handle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Dispatch, dispatcher};

use super::http::{Pools, Slots};

/// All of them. They end when this is dropped, and what they still have with them.
pub(super) struct Workers {
    workers: Vec<Worker>,
    end: CancellationToken,
}

/// One thread, its connections, and the upstreams' connections that it keeps.
#[derive(Clone)]
pub(super) struct Worker {
    runtime: Handle,
    tasks: TaskTracker,
    pools: Arc<Pools>,
}

impl Workers {
    /// So many, or as many as there are CPUs for this process.
    ///
    /// # Errors
    /// The system refuses threads.
    pub(super) fn start(wished: Option<usize>) -> io::Result<Self> {
        let mut started = Self { workers: Vec::new(), end: CancellationToken::new() };
        let slots = Arc::<Slots>::default();
        let cpus = || available_parallelism().map_or(1, usize::from);
        for number in 0..wished.unwrap_or_else(cpus) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let pools = Arc::new(Pools::new(slots.clone()));
            let handle = runtime.handle().clone();
            started.workers.push(Worker { runtime: handle, tasks: TaskTracker::new(), pools });
            let end = started.end.clone();
            // They log where whoever starts them does.
            let log = dispatcher::get_default(Dispatch::clone);
            let run = move || dispatcher::with_default(&log, || runtime.block_on(end.cancelled()));
            thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
        }
        Ok(started)
    }

    /// The one that also does what is to be done once.
    pub(super) fn first(&self) -> &Worker {
        &self.workers[0]
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter()
    }

    /// Tasks that have not ended.
    pub(super) fn busy(&self) -> usize {
        self.each().map(|worker| worker.tasks.len()).sum()
    }

    /// Waits until every task has ended. The first worker's are waited for first: they begin the
    /// others.
    pub(super) async fn wait(&self) {
        for worker in self.each() {
            worker.tasks.close();
            worker.tasks.wait().await;
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Worker {
    /// Runs `task` on this thread.
    pub(super) fn spawn<F>(&self, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Does `act` as if on this thread: what waits for a socket will wait there.
    pub(super) fn within<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _runtime = self.runtime.enter();
        act()
    }

    /// Connections and other tasks that it has now.
    pub(super) fn load(&self) -> usize {
        self.tasks.len()
    }

    /// The connections to upstreams that it keeps.
    pub(super) fn pools(&self) -> &Arc<Pools> {
        &self.pools
    }
}
