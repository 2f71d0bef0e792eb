//! Wakings of a connection that is driven from the very task that it would wake.
//!
//! hyper's two ends of a connection wake each other at every step. Where one task polls both, each of
//! these wakings would schedule the task once more, and the runtime would rouse another thread for it:
//! that costs more than the request. So while somebody attends to the connection, a waking is only
//! remembered, and what it is about is looked after at once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::pool::held;

/// After so many rounds others shall have their turn.
const ROUNDS: usize = 4;

/// What a connection is polled with.
pub(super) struct Attention {
    waker: Waker,
    bell: Arc<Bell>,
}

struct Bell {
    /// Whether somebody looks after the connection without being woken: its task does now, or it
    /// lies idle, and is looked at when it is taken.
    attended: AtomicBool,
    rung: AtomicBool,
    task: Mutex<Waker>,
}

impl Attention {
    pub(super) fn new() -> Self {
        let bell = Arc::new(Bell {
            attended: AtomicBool::new(true),
            rung: AtomicBool::new(false),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self { waker: bell.clone().into(), bell }
    }

    /// Polls `what` until it is ready, or has nothing to do before the task is woken. What is ready
    /// stays attended.
    pub(super) fn poll<T>(
        &self,
        context: &Context<'_>,
        mut what: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        held(&self.bell.task).clone_from(context.waker());
        self.bell.attended.store(true, SeqCst);
        for _ in 0..ROUNDS {
            self.bell.rung.store(false, SeqCst);
            let polled = what(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                return polled;
            }
            if !self.bell.rung.load(SeqCst) {
                self.bell.attended.store(false, SeqCst);
                // Who rang in between may have taken it for attended.
                if !self.bell.rung.swap(false, SeqCst) {
                    return Poll::Pending;
                }
                self.bell.attended.store(true, SeqCst);
            }
        }
        self.bell.attended.store(false, SeqCst);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        if !self.attended.load(SeqCst) {
            held(&self.task).wake_by_ref();
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
    fn the_task_is_woken_only_for_what_nobody_looks_after() {
        let (attention, counted) = (Attention::new(), Arc::<Counted>::default());
        let waker = Waker::from(counted.clone());
        let context = Context::from_waker(&waker);
        let woken = || counted.0.load(Relaxed);

        // Rung while it is polled: polled again, and nobody is woken.
        let (mut polls, mut kept) = (0, None);
        let polled = attention.poll(&context, |context| {
            polls += 1;
            kept = Some(context.waker().clone());
            if polls == 1 {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!((polled, polls, woken()), (Poll::Pending, 2, 0));
        // Rung afterwards: woken.
        kept.unwrap().wake_by_ref();
        assert_eq!(woken(), 1);
        // Rung for ever: others have their turn, and the task comes back.
        let polled = attention.poll(&context, |context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!((polled, woken()), (Poll::Pending, 2));
        // What is ready stays attended: it will be polled again, or lies idle.
        let mut kept = None;
        let polled = attention.poll(&context, |context| {
            kept = Some(context.waker().clone());
            Poll::Ready(())
        });
        kept.unwrap().wake_by_ref();
        assert_eq!((polled, woken()), (Poll::Ready(()), 2));
    }
}
