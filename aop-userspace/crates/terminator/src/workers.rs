//! The worker threads. Each has a runtime of its own and keeps its connections for life: an event
//! of a connection crosses no thread and wakes no other thread.

use std::{
    future::pending,
    io,
    sync::Arc,
    thread::{self, available_parallelism},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Dispatch, dispatcher};

use super::http::{Pools, UpstreamSlots};

/// All workers. Dropping this ends them and the tasks that they still run.
pub(super) struct Workers {
    workers: Vec<Worker>,
    slots: Arc<UpstreamSlots>,
    shutdown: CancellationToken,
}

/// One thread, the tasks that run on it, and its pool of upstream connections.
#[derive(Clone)]
pub(super) struct Worker {
    runtime: Handle,
    tasks: TaskTracker,
    pools: Arc<Pools>,
}

impl Workers {
    /// Starts `count` workers, or one for each CPU that this process may use.
    ///
    /// # Errors
    /// The system refuses to start a thread.
    pub(super) fn start(count: Option<usize>) -> io::Result<Self> {
        let slots = Arc::<UpstreamSlots>::default();
        let shutdown = CancellationToken::new();
        let mut started = Self { workers: Vec::new(), slots: slots.clone(), shutdown };
        let cpus = || available_parallelism().map_or(1, usize::from);
        for number in 0..count.unwrap_or_else(cpus) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let pools = Arc::new(Pools::new(slots.clone()));
            let handle = runtime.handle().clone();
            started.workers.push(Worker { runtime: handle, tasks: TaskTracker::new(), pools });
            let shutdown = started.shutdown.clone();
            // Workers log to the subscriber of the thread that starts them.
            let log = dispatcher::get_default(Dispatch::clone);
            let run =
                move || dispatcher::with_default(&log, || runtime.block_on(shutdown.cancelled()));
            thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
        }
        Ok(started)
    }

    /// The worker that also runs the tasks of the whole service.
    pub(super) fn main(&self) -> &Worker {
        &self.workers[0]
    }

    /// The open requests and tunnels at the upstreams, of all workers.
    pub(super) fn slots(&self) -> &UpstreamSlots {
        &self.slots
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter()
    }

    /// The number of running tasks.
    pub(super) fn busy(&self) -> usize {
        self.each().map(|worker| worker.tasks.len()).sum()
    }

    /// Ends once every worker has run a task; never if a worker hangs.
    pub(super) fn ping(&self) -> impl Future<Output = ()> + Send + use<> {
        let ping = |worker: &Worker| {
            let (done, answer) = oneshot::channel();
            worker.spawn(async move { done.send(()).ok() });
            answer
        };
        let answers: Vec<_> = self.each().map(ping).collect();
        async move {
            for answer in answers {
                if answer.await.is_err() {
                    pending::<()>().await;
                }
            }
        }
    }

    /// Waits until every task has ended. The first worker comes first: its tasks spawn the others'.
    pub(super) async fn wait(&self) {
        for worker in self.each() {
            worker.tasks.close();
            worker.tasks.wait().await;
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Worker {
    /// Runs `task` on this worker's thread.
    pub(super) fn spawn<F>(&self, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Calls `act` in this worker's runtime context: sockets register with this runtime.
    pub(super) fn enter<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _runtime = self.runtime.enter();
        act()
    }

    /// The number of connections and other tasks that run on this worker.
    pub(super) fn load(&self) -> usize {
        self.tasks.len()
    }

    /// The pools of upstream connections.
    pub(super) fn pools(&self) -> &Arc<Pools> {
        &self.pools
    }
}
