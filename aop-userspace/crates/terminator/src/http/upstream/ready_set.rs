//! Which upstream connections of one task have something to do.
//!
//! Each connection has a waker of its own that marks it here, and wakes the task. So the task polls
//! the connections that are ready, and no others.

use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use parking_lot::Mutex;

/// The marks of the connections of one task.
#[derive(Default)]
pub(in crate::http) struct ReadySet(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    /// One bit for each connection.
    ready: Vec<u64>,
    task: Option<Waker>,
}

struct Mark {
    set: Arc<ReadySet>,
    number: usize,
}

impl ReadySet {
    /// A waker that marks the connection `number`.
    pub(in crate::http) fn waker(self: &Arc<Self>, number: usize) -> Waker {
        Waker::from(Arc::new(Mark { set: self.clone(), number }))
    }

    /// Marks the connection `number`, without waking the task.
    pub(in crate::http) fn mark(&self, number: usize) {
        self.0.lock().mark(number);
    }

    /// Whether the connection `number` is marked.
    pub(in crate::http) fn is_marked(&self, number: usize) -> bool {
        let marks = self.0.lock();
        marks.ready.get(number / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    /// From now on marks wake `task`.
    pub(in crate::http) fn set_task(&self, task: &Waker) {
        let mut marks = self.0.lock();
        match &mut marks.task {
            Some(known) => known.clone_from(task),
            unknown @ None => *unknown = Some(task.clone()),
        }
    }

    /// The task that marks wake.
    pub(in crate::http) fn task(&self) -> Option<Waker> {
        self.0.lock().task.clone()
    }

    /// Removes one mark, and returns its number.
    pub(in crate::http) fn take(&self) -> Option<usize> {
        let mut marks = self.0.lock();
        let (word, bits) = marks.ready.iter_mut().enumerate().find(|(_, bits)| **bits != 0)?;
        let bit = bits.trailing_zeros();
        *bits &= *bits - 1;
        Some(word * 64 + bit as usize)
    }
}

impl Marks {
    fn mark(&mut self, number: usize) {
        let word = number / 64;
        if self.ready.len() <= word {
            self.ready.resize(word + 1, 0);
        }
        self.ready[word] |= 1 << (number % 64);
    }
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut marks = self.set.0.lock();
        marks.mark(self.number);
        if let Some(task) = &marks.task {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_taken_once() {
        let set = Arc::<ReadySet>::default();
        for number in [3, 64, 199, 3] {
            set.waker(number).wake();
        }
        set.mark(0);
        let taken: Vec<_> = std::iter::from_fn(|| set.take()).collect();
        assert_eq!(taken, [0, 3, 64, 199]);
    }
}
