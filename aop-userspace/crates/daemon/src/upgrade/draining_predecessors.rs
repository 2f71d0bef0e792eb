//! Draining predecessors: earlier daemons that still serve their connections.
//!
//! Each of them serves until its deadline, or until the daemon closes its channel. A successor gets
//! the channels, so it does not matter whether the daemons in between still run.

use std::{
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use aop_api::Predecessor;
use aop_sandbox::channel::{self, Message};
use parking_lot::Mutex;

use super::LONGEST;
use crate::upgrade::messages::{DrainingInfo, PredecessorMessage, SuccessorMessage};

/// Time for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many at a time. For one more, the oldest is dropped.
const MOST: usize = 8;

/// All draining predecessors.
#[derive(Default)]
pub(crate) struct DrainingPredecessors(Mutex<All>);

#[derive(Default)]
struct All {
    each: Vec<DrainingPredecessor>,
    /// How often all were dropped.
    generation: u64,
}

/// A draining predecessor.
pub(crate) struct DrainingPredecessor {
    about: DrainingInfo,
    channel: UnixStream,
    /// It did not answer once. If it were asked again, a late answer could pass for the new one.
    silent: bool,
}

impl DrainingPredecessor {
    pub(super) fn new(about: DrainingInfo, channel: UnixStream) -> Self {
        Self { about, channel, silent: false }
    }

    /// Its entry in the status; `None` where it has ended.
    fn report(&mut self) -> Option<Predecessor> {
        let connections = match self.silent {
            true => None,
            false => match self.ask() {
                Ok(PredecessorMessage::Connections(connections)) => Some(connections),
                Err(channel::ChannelError::Io(late))
                    if late.kind() == std::io::ErrorKind::TimedOut =>
                {
                    self.silent = true;
                    None
                }
                Ok(
                    PredecessorMessage::HandoverState { .. } | PredecessorMessage::Released { .. },
                )
                | Err(_) => return None,
            },
        };
        let DrainingInfo { pid, version, until } = self.about.clone();
        let version = aop_types::escape(&version);
        Some(Predecessor { pid, version, connections, until })
    }

    fn ask(&self) -> Result<PredecessorMessage, channel::ChannelError> {
        channel::send(&self.channel, &Message::new(&SuccessorMessage::CountConnections)?, &[])?;
        channel::receive_until(&self.channel, LONGEST, PATIENCE)
    }
}

impl DrainingPredecessors {
    /// Those that the predecessor handed over.
    pub(crate) fn inherited(about: Vec<DrainingInfo>, channels: Vec<OwnedFd>) -> Self {
        let each = about.into_iter().zip(channels.into_iter().map(UnixStream::from));
        let each = each.map(|(about, channel)| DrainingPredecessor::new(about, channel)).collect();
        Self(Mutex::new(All { each, generation: 0 }))
    }

    /// How often all were dropped.
    pub(crate) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Adds one, unless all were dropped after the count `since`.
    pub(crate) fn add(&self, predecessor: DrainingPredecessor, since: u64) {
        let mut all = self.0.lock();
        if all.generation != since {
            return;
        }
        if all.each.len() >= MOST {
            let first = all.each.remove(0);
            tracing::info!(
                pid = first.about.pid,
                "too many draining predecessors: the oldest must finish"
            );
        }
        all.each.push(predecessor);
    }

    /// Drops all: each finishes within its `limits.drain`. Called when a new configuration may
    /// trust less than they do, or when no process is left to inform them.
    pub(crate) fn drop_all(&self) {
        let mut all = self.0.lock();
        all.generation += 1;
        for DrainingPredecessor { about, .. } in all.each.drain(..) {
            tracing::info!(pid = about.pid, "the draining predecessor must finish");
        }
    }

    /// Forgets them without closing: the successor has copies of the channels.
    pub(super) fn release_to_successor(&self) {
        self.0.lock().each.clear();
    }

    /// Asks each, and returns those that have not ended.
    pub(crate) fn report(&self) -> Vec<Predecessor> {
        let mut reports = Vec::new();
        self.0.lock().each.retain_mut(|predecessor| {
            let report = predecessor.report();
            let is_draining = report.is_some();
            reports.extend(report);
            is_draining
        });
        reports
    }

    /// Calls `hand_over` with their descriptions and channels.
    pub(super) fn hand_over<T>(
        &self,
        hand_over: impl FnOnce(Vec<DrainingInfo>, Vec<BorrowedFd<'_>>) -> T,
    ) -> T {
        let all = self.0.lock();
        let about = all.each.iter().map(|it| it.about.clone()).collect();
        hand_over(about, all.each.iter().map(|it| it.channel.as_fd()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, thread};

    use jiff::Timestamp;

    use super::*;

    fn predecessor(pid: u32) -> (UnixStream, DrainingPredecessor) {
        let (there, here) = UnixStream::pair().expect("a pair");
        let version = "1.0.0".to_owned();
        (
            there,
            DrainingPredecessor::new(DrainingInfo { pid, version, until: Timestamp::MAX }, here),
        )
    }

    /// Whether the daemon has closed its end.
    fn is_dropped(there: &mut UnixStream) -> bool {
        there.set_nonblocking(true).expect("set");
        matches!(there.read(&mut [0]), Ok(0))
    }

    #[test]
    fn a_predecessor_that_was_dropped_before_it_was_added_is_closed() {
        let (all, since) =
            (DrainingPredecessors::default(), DrainingPredecessors::default().generation());
        let [(mut one, first), (mut two, second)] = [predecessor(1), predecessor(2)];
        all.add(first, since);
        assert!(!is_dropped(&mut one));
        all.drop_all();
        assert!(is_dropped(&mut one));
        all.add(second, since);
        assert!(is_dropped(&mut two));
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_closed() {
        let all = DrainingPredecessors::default();
        let mut ends: Vec<_> = (0..=8).map(predecessor).collect();
        let mut ends: Vec<_> = ends.drain(..).map(|(end, one)| (end, all.add(one, 0)).0).collect();
        assert!(is_dropped(&mut ends[0]) && !is_dropped(&mut ends[1]));
    }

    #[test]
    fn answering_and_silent_predecessors_are_listed_and_ended_ones_are_not() {
        let all = DrainingPredecessors::default();
        let [(there, one), (_silent, two), (gone, three)] = [1, 2, 3].map(predecessor);
        [one, two, three].into_iter().for_each(|one| all.add(one, 0));
        drop(gone);
        let answers = thread::spawn(move || {
            let asked = channel::receive::<SuccessorMessage>(&there).expect("asked");
            assert!(matches!(asked, Some(SuccessorMessage::CountConnections)));
            channel::send(
                &there,
                &Message::new(&PredecessorMessage::Connections(7)).expect("one"),
                &[],
            )
            .expect("sent");
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
