//! The script of a case: the bytes that a visitor sends and the bytes that the application answers,
//! in the order that both wait for each other. No step waits for a time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};

/// How long an end waits for the other.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long an end may be silent: on a busy machine, a large body takes long.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// A step of one end.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends this many bytes of the pattern.
    Pattern(usize),
    /// Sends this many bytes of the pattern in chunks, with the last chunk.
    Chunks { total: usize, each: usize },
    /// The application: reads the request to its end.
    ReadBody,
    /// The application: reads at least this much of the body, or all of it.
    ReadSome(u64),
    /// The application: sends back each byte that comes, until the peer closes.
    Echo,
    /// The application: sends a chunk every few milliseconds, until the peer closes.
    Endless,
    /// Waits until the visitor has received this many heads, interim ones included.
    AwaitHeads(u64),
    /// Waits until the visitor has received this many bytes of the body or of the tunnel.
    AwaitReceived(u64),
    /// Waits until the application has read this many bytes of the body.
    AwaitRead(u64),
    /// The application: closes the connection.
    Close,
}

/// How far both ends are.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    heads: u64,
    received: u64,
    read: u64,
}

impl Progress {
    /// The visitor has received one more head.
    pub(crate) fn head(&self) {
        self.change(|state| state.heads += 1);
    }

    /// The visitor has received `bytes` bytes in all.
    pub(crate) fn received(&self, bytes: u64) {
        self.change(|state| state.received = bytes);
    }

    /// The application has read `bytes` bytes in all.
    pub(crate) fn read(&self, bytes: u64) {
        self.change(|state| state.read = bytes);
    }

    /// Waits for what a step names. Other steps need no wait.
    pub(crate) fn wait(&self, step: &Step) -> Result<()> {
        let done = |state: &State| match *step {
            Step::AwaitHeads(count) => state.heads >= count,
            Step::AwaitReceived(count) => state.received >= count,
            Step::AwaitRead(count) => state.read >= count,
            Step::Send(_)
            | Step::Pattern(_)
            | Step::Chunks { .. }
            | Step::ReadBody
            | Step::ReadSome(_)
            | Step::Echo
            | Step::Endless
            | Step::Close => true,
        };
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !done(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !done(&state) {
            bail!("waited in vain for {step:?}; {:?}", *state);
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// A pattern of 251 bytes again and again, so that lost or doubled bytes change its sum.
pub(crate) fn pattern(from: usize, count: usize) -> Vec<u8> {
    let once: Vec<u8> = (0..251).collect();
    let start = from % once.len();
    let mut bytes = once.repeat((start + count).div_ceil(once.len()));
    bytes.truncate(start + count);
    bytes.drain(..start);
    bytes
}

/// The bytes of a step that sends, in pieces.
pub(crate) fn pieces(step: &Step) -> Box<dyn Iterator<Item = Vec<u8>> + '_> {
    const PIECE: usize = 251 * 1024;
    match *step {
        Step::Send(ref bytes) => Box::new(std::iter::once(bytes.clone())),
        Step::Pattern(total) => {
            let starts = (0..total).step_by(PIECE);
            Box::new(starts.map(move |from| pattern(from, PIECE.min(total - from))))
        }
        Step::Chunks { total, each } => {
            let starts = (0..total).step_by(each);
            let chunk = move |from: usize| {
                let count = each.min(total - from);
                let size = format!("{count:x}\r\n");
                [size.as_bytes(), &pattern(from, count), b"\r\n"].concat()
            };
            Box::new(starts.map(chunk).chain(std::iter::once(b"0\r\n\r\n".to_vec())))
        }
        Step::ReadBody
        | Step::ReadSome(_)
        | Step::Echo
        | Step::Endless
        | Step::AwaitHeads(_)
        | Step::AwaitReceived(_)
        | Step::AwaitRead(_)
        | Step::Close => Box::new(std::iter::empty()),
    }
}
