//! Draining predecessors: earlier daemons that still serve their connections.
//!
//! Each of them serves until its deadline, or until the daemon closes its channel. A successor gets
//! the channels, so it does not matter whether the daemons in between still run.

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aop_api::Predecessor;
use aop_sandbox::channel::{self, Message};

use super::LONGEST;
use crate::upgrade::messages::{Lingering, New, Old};

/// Time for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many at a time. For one more, the oldest is dropped.
const MOST: usize = 8;

/// All draining predecessors.
#[derive(Default)]
pub(crate) struct DrainingPredecessors(Mutex<Known>);

#[derive(Default)]
struct Known {
    each: Vec<DrainingPredecessor>,
    /// How often all were dropped.
    let_go: u64,
}

/// A draining predecessor.
pub(crate) struct DrainingPredecessor {
    about: Lingering,
    channel: UnixStream,
    /// It did not answer once. If it were asked again, a late answer could pass for the new one.
    silent: bool,
}

impl DrainingPredecessor {
    pub(super) fn new(about: Lingering, channel: UnixStream) -> Self {
        Self { about, channel, silent: false }
    }

    /// Its entry in the status; `None` where it has ended.
    fn report(&mut self) -> Option<Predecessor> {
        let connections = match self.silent {
            true => None,
            false => match self.ask() {
                Ok(Old::Open(connections)) => Some(connections),
                Err(channel::ChannelError::Io(late))
                    if late.kind() == std::io::ErrorKind::TimedOut =>
                {
                    self.silent = true;
                    None
                }
                Ok(Old::Estate { .. } | Old::Left { .. }) | Err(_) => return None,
            },
        };
        let Lingering { pid, version, until } = self.about.clone();
        let version = version.replace(char::is_control, "\u{fffd}");
        Some(Predecessor { pid, version, connections, until })
    }

    fn ask(&self) -> Result<Old, channel::ChannelError> {
        channel::send(&self.channel, &Message::of(&New::HowMany)?, &[])?;
        channel::receive_until(&self.channel, LONGEST, PATIENCE)
    }
}

impl DrainingPredecessors {
    /// Those that the predecessor handed over.
    pub(crate) fn inherited(about: Vec<Lingering>, channels: Vec<OwnedFd>) -> Self {
        let each = about.into_iter().zip(channels.into_iter().map(UnixStream::from));
        let each = each.map(|(about, channel)| DrainingPredecessor::new(about, channel)).collect();
        Self(Mutex::new(Known { each, let_go: 0 }))
    }

    /// How often all were dropped.
    pub(crate) fn let_go_so_far(&self) -> u64 {
        self.known().let_go
    }

    /// Adds one, unless all were dropped after the count `since`.
    pub fn add(&self, lingerer: DrainingPredecessor, since: u64) {
        let mut known = self.known();
        if known.let_go != since {
            return;
        }
        if known.each.len() >= MOST {
            let first = known.each.remove(0);
            tracing::info!(
                pid = first.about.pid,
                "too many draining predecessors: the oldest must finish"
            );
        }
        known.each.push(lingerer);
    }

    /// Drops all: each finishes within its `limits.drain`. Called when a new configuration may
    /// trust less than they do, or when no process is left to inform them.
    pub(crate) fn let_go(&self) {
        let mut known = self.known();
        known.let_go += 1;
        for DrainingPredecessor { about, .. } in known.each.drain(..) {
            tracing::info!(pid = about.pid, "the draining predecessor must finish");
        }
    }

    /// Forgets them without closing: the successor has copies of the channels.
    pub(super) fn forget(&self) {
        self.known().each.clear();
    }

    /// Asks each, and returns those that have not ended.
    pub fn report(&self) -> Vec<Predecessor> {
        let mut told = Vec::new();
        self.known().each.retain_mut(|lingerer| {
            let report = lingerer.report();
            let there = report.is_some();
            told.extend(report);
            there
        });
        told
    }

    /// Calls `hand_over` with their descriptions and channels.
    pub(super) fn hand_over<T>(
        &self,
        hand_over: impl FnOnce(Vec<Lingering>, Vec<BorrowedFd<'_>>) -> T,
    ) -> T {
        let known = self.known();
        let about = known.each.iter().map(|lingerer| lingerer.about.clone()).collect();
        hand_over(about, known.each.iter().map(|lingerer| lingerer.channel.as_fd()).collect())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change of the list is complete, so a panic leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, thread};

    use jiff::Timestamp;

    use super::*;

    fn lingerer(pid: u32) -> (UnixStream, DrainingPredecessor) {
        let (there, here) = UnixStream::pair().expect("a pair");
        let version = "1.0.0".to_owned();
        (there, DrainingPredecessor::new(Lingering { pid, version, until: Timestamp::MAX }, here))
    }

    /// Whether the daemon has closed its end.
    fn is_let_go(there: &mut UnixStream) -> bool {
        there.set_nonblocking(true).expect("set");
        matches!(there.read(&mut [0]), Ok(0))
    }

    #[test]
    fn a_predecessor_that_was_dropped_before_it_was_added_is_closed() {
        let (all, since) =
            (DrainingPredecessors::default(), DrainingPredecessors::default().let_go_so_far());
        let [(mut one, first), (mut two, second)] = [lingerer(1), lingerer(2)];
        all.add(first, since);
        assert!(!is_let_go(&mut one));
        all.let_go();
        assert!(is_let_go(&mut one));
        all.add(second, since);
        assert!(is_let_go(&mut two));
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_closed() {
        let all = DrainingPredecessors::default();
        let mut ends: Vec<_> = (0..=8).map(lingerer).collect();
        let mut ends: Vec<_> = ends.drain(..).map(|(end, one)| (end, all.add(one, 0)).0).collect();
        assert!(is_let_go(&mut ends[0]) && !is_let_go(&mut ends[1]));
    }

    #[test]
    fn answering_and_silent_predecessors_are_listed_and_ended_ones_are_not() {
        let all = DrainingPredecessors::default();
        let [(there, one), (_silent, two), (gone, three)] = [1, 2, 3].map(lingerer);
        [one, two, three].into_iter().for_each(|one| all.add(one, 0));
        drop(gone);
        let answers = thread::spawn(move || {
            let asked = channel::receive::<New>(&there).expect("asked");
            assert!(matches!(asked, Some(New::HowMany)));
            channel::send(&there, &Message::of(&Old::Open(7)).expect("one"), &[]).expect("sent");
            there
        });
        let listed: Vec<_> = all.report().iter().map(|it| (it.pid, it.connections)).collect();
        assert_eq!(listed, [(1, Some(7)), (2, None)]);
        drop(answers.join().expect("no panic"));
        // The silent one is not asked again.
        let listed: Vec<_> = all.report().iter().map(|it| (it.pid, it.connections)).collect();
        assert_eq!(listed, [(2, None)]);
    }
}
