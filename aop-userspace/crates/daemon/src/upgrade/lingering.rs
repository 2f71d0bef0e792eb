//! The daemons before this one, in which connections go on.
//!
//! Each of them goes on for as long as the daemon has its channel open, and its own time lasts. Whoever
//! takes over gets the channels, so it does not matter which of those between is still there.

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

/// For an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// At a time; for one more the first is let go.
const MOST: usize = 8;

/// All of them.
#[derive(Default)]
pub(crate) struct Lingerers(Mutex<Known>);

#[derive(Default)]
struct Known {
    each: Vec<Lingerer>,
    /// How often all were let go.
    let_go: u64,
}

/// One of them.
pub(crate) struct Lingerer {
    about: Lingering,
    channel: UnixStream,
    /// It did not answer once. Were it asked again, the answers could not be told apart.
    silent: bool,
}

impl Lingerer {
    pub(super) fn new(about: Lingering, channel: UnixStream) -> Self {
        Self { about, channel, silent: false }
    }

    /// What is to be told of it, where it has not ended.
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

impl Lingerers {
    /// Those that were handed over.
    pub(crate) fn inherited(about: Vec<Lingering>, channels: Vec<OwnedFd>) -> Self {
        let each = about.into_iter().zip(channels.into_iter().map(UnixStream::from));
        let each = each.map(|(about, channel)| Lingerer::new(about, channel)).collect();
        Self(Mutex::new(Known { each, let_go: 0 }))
    }

    /// Counts how often all were let go.
    pub(crate) fn let_go_so_far(&self) -> u64 {
        self.known().let_go
    }

    /// One more, unless all were let go `since` that was counted.
    pub fn add(&self, lingerer: Lingerer, since: u64) {
        let mut known = self.known();
        if known.let_go != since {
            return;
        }
        if known.each.len() >= MOST {
            let first = known.each.remove(0);
            tracing::info!(pid = first.about.pid, "so many linger that the first one is let go");
        }
        known.each.push(lingerer);
    }

    /// They end within their `limits.drain`: trust may have been taken away, or nobody is left to tell
    /// them of it.
    pub(crate) fn let_go(&self) {
        let mut known = self.known();
        known.let_go += 1;
        for Lingerer { about, .. } in known.each.drain(..) {
            tracing::info!(pid = about.pid, "the process that lingers is told to end");
        }
    }

    /// Another process sees to them from now on.
    pub(super) fn forget(&self) {
        self.known().each.clear();
    }

    /// Those that have not ended. Asks them.
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

    /// Has `hand_over` tell another process of them.
    pub(super) fn hand_over<T>(
        &self,
        hand_over: impl FnOnce(Vec<Lingering>, Vec<BorrowedFd<'_>>) -> T,
    ) -> T {
        let known = self.known();
        let about = known.each.iter().map(|lingerer| lingerer.about.clone()).collect();
        hand_over(about, known.each.iter().map(|lingerer| lingerer.channel.as_fd()).collect())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, thread};

    use jiff::Timestamp;

    use super::*;

    fn lingerer(pid: u32) -> (UnixStream, Lingerer) {
        let (there, here) = UnixStream::pair().expect("a pair");
        let version = "1.0.0".to_owned();
        (there, Lingerer::new(Lingering { pid, version, until: Timestamp::MAX }, here))
    }

    /// Whether the far end was let go.
    fn is_let_go(there: &mut UnixStream) -> bool {
        there.set_nonblocking(true).expect("set");
        matches!(there.read(&mut [0]), Ok(0))
    }

    #[test]
    fn what_was_let_go_before_it_was_known_is_let_go_all_the_same() {
        let (all, since) = (Lingerers::default(), Lingerers::default().let_go_so_far());
        let [(mut one, first), (mut two, second)] = [lingerer(1), lingerer(2)];
        all.add(first, since);
        assert!(!is_let_go(&mut one));
        all.let_go();
        assert!(is_let_go(&mut one));
        all.add(second, since);
        assert!(is_let_go(&mut two));
    }

    #[test]
    fn beyond_the_bound_the_first_one_is_let_go() {
        let all = Lingerers::default();
        let mut ends: Vec<_> = (0..=8).map(lingerer).collect();
        let mut ends: Vec<_> = ends.drain(..).map(|(end, one)| (end, all.add(one, 0)).0).collect();
        assert!(is_let_go(&mut ends[0]) && !is_let_go(&mut ends[1]));
    }

    #[test]
    fn who_answers_is_told_who_is_silent_too_and_who_is_gone_is_not() {
        let all = Lingerers::default();
        let [(there, one), (_silent, two), (gone, three)] = [1, 2, 3].map(lingerer);
        [one, two, three].into_iter().for_each(|one| all.add(one, 0));
        drop(gone);
        let answers = thread::spawn(move || {
            let asked = channel::receive::<New>(&there).expect("asked");
            assert!(matches!(asked, Some(New::HowMany)));
            channel::send(&there, &Message::of(&Old::Open(7)).expect("one"), &[]).expect("sent");
            there
        });
        let told: Vec<_> = all.report().iter().map(|told| (told.pid, told.connections)).collect();
        assert_eq!(told, [(1, Some(7)), (2, None)]);
        drop(answers.join().expect("no panic"));
        // Who was silent is not asked again.
        let told: Vec<_> = all.report().iter().map(|told| (told.pid, told.connections)).collect();
        assert_eq!(told, [(2, None)]);
    }
}
