//! Co-polling: one task polls both ends of hyper's client connection and suppresses wakeups between
//! them.
//!
//! The two ends wake each other at every step. If one task polls both, each wakeup schedules that
//! task once more, and the runtime wakes another thread for it: that costs more than the request.
//! So while a task polls the connection, a wakeup only sets a flag, and the task polls again at
//! once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use parking_lot::Mutex;

/// After this many polls in a row the task yields to others.
const ROUNDS: usize = 4;

/// The waker of a connection.
pub(super) struct CoPolling {
    waker: Waker,
    flag: Arc<WakeFlag>,
}

struct WakeFlag {
    /// Whether the connection needs no wakeup: its task polls it now, or it is idle in the pool,
    /// which polls it before reuse.
    is_polling: AtomicBool,
    woken: AtomicBool,
    task: Mutex<Waker>,
}

impl CoPolling {
    pub(super) fn new() -> Self {
        let flag = Arc::new(WakeFlag {
            is_polling: AtomicBool::new(true),
            woken: AtomicBool::new(false),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self { waker: flag.clone().into(), flag }
    }

    /// Polls `what` until it is ready, or is pending without a wakeup in between. After `Ready` the
    /// connection stays attended.
    pub(super) fn poll<T>(
        &self,
        context: &Context<'_>,
        mut what: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.flag.task.lock().clone_from(context.waker());
        self.flag.is_polling.store(true, SeqCst);
        for _ in 0..ROUNDS {
            self.flag.woken.store(false, SeqCst);
            let polled = what(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                return polled;
            }
            if !self.flag.woken.load(SeqCst) {
                self.flag.is_polling.store(false, SeqCst);
                // A wakeup in between may have seen `is_polling` and not woken the task.
                if !self.flag.woken.swap(false, SeqCst) {
                    return Poll::Pending;
                }
                self.flag.is_polling.store(true, SeqCst);
            }
        }
        self.flag.is_polling.store(false, SeqCst);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        if !self.is_polling.load(SeqCst) {
            self.task.lock().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn the_task_is_woken_only_while_the_connection_is_unattended() {
        let (co_polling, counted) = (CoPolling::new(), Arc::<Counted>::default());
        let waker = Waker::from(counted.clone());
        let context = Context::from_waker(&waker);
        let woken = || counted.0.load(Relaxed);

        // A wakeup during a poll: it is polled again, and the task is not woken.
        let (mut polls, mut kept) = (0, None);
        let polled = co_polling.poll(&context, |context| {
            polls += 1;
            kept = Some(context.waker().clone());
            if polls == 1 {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!((polled, polls, woken()), (Poll::Pending, 2, 0));
        // A wakeup after the poll: the task is woken.
        kept.unwrap().wake_by_ref();
        assert_eq!(woken(), 1);
        // A wakeup in every poll: the task yields and is scheduled again.
        let polled = co_polling.poll(&context, |context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!((polled, woken()), (Poll::Pending, 2));
        // After `Ready` it stays attended: it will be polled again, or is idle in the pool.
        let mut kept = None;
        let polled = co_polling.poll(&context, |context| {
            kept = Some(context.waker().clone());
            Poll::Ready(())
        });
        kept.unwrap().wake_by_ref();
        assert_eq!((polled, woken()), (Poll::Ready(()), 2));
    }
}
