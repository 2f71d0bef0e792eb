//! How the streams that are no longer open have ended.
//!
//! A peer may send frames before it learns that a stream was reset (RFC 9113, 5.1): those must not
//! harm it. A frame on a stream that both sides had ended is an error. Two bits for each of the
//! last 1,024 streams tell the cases apart; about older ones nothing is known.

use super::StreamId;

/// The number of streams that are remembered.
const STREAMS: u32 = 1024;
/// Streams in one word.
const IN_WORD: u32 = u64::BITS / 2;
const WORDS: usize = (STREAMS / IN_WORD) as usize;

/// How the streams of one side have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// Two bits for each stream, at its number modulo 1,024.
    ends: [u64; WORDS],
    /// The number of the next new stream: identifiers of one side are odd, so it is half of one.
    next: u32,
}

/// The state of a stream that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PastState {
    /// It was never used, and may still be.
    Idle,
    /// It was skipped: a higher one was opened before it (RFC 9113, 5.1.1).
    Skipped,
    /// Both sides ended it.
    Complete,
    /// This side reset it.
    ResetHere,
    /// The peer reset it.
    ResetByPeer,
    /// It ended long ago, or is too old to be remembered.
    Forgotten,
}

impl Past {
    /// Notes that a stream, which is idle, is used now.
    pub(super) fn open(&mut self, stream: StreamId) {
        let number = number(stream);
        if number - self.next >= STREAMS {
            self.ends = [0; WORDS];
        } else {
            for skipped in self.next..=number {
                self.write(skipped, 0);
            }
        }
        self.next = number + 1;
    }

    /// Notes how a stream has ended.
    pub(super) fn close(&mut self, stream: StreamId, state: PastState) {
        let bits = match state {
            PastState::Idle | PastState::Skipped | PastState::Forgotten => 0,
            PastState::Complete => 1,
            PastState::ResetHere => 2,
            PastState::ResetByPeer => 3,
        };
        if self.remembers(number(stream)) {
            self.write(number(stream), bits);
        }
    }

    /// The state of a stream that is not open.
    pub(super) fn state(&self, stream: StreamId) -> PastState {
        let number = number(stream);
        if number >= self.next {
            return PastState::Idle;
        }
        if !self.remembers(number) {
            return PastState::Forgotten;
        }
        let (word, shift) = position(number);
        match self.ends[word] >> shift & 3 {
            0 => PastState::Skipped,
            1 => PastState::Complete,
            2 => PastState::ResetHere,
            _ => PastState::ResetByPeer,
        }
    }

    /// The next stream that this side can open.
    pub(super) fn next(&self) -> Option<StreamId> {
        let id = self.next.checked_mul(2)? | 1;
        (id <= StreamId::LAST.get()).then_some(StreamId(id))
    }

    fn remembers(&self, number: u32) -> bool {
        number < self.next && self.next - number <= STREAMS
    }

    fn write(&mut self, number: u32, bits: u64) {
        let (word, shift) = position(number);
        self.ends[word] = self.ends[word] & !(3 << shift) | bits << shift;
    }
}

fn number(stream: StreamId) -> u32 {
    stream.get() / 2
}

fn position(number: u32) -> (usize, u32) {
    let at = number % STREAMS;
    ((at / IN_WORD) as usize, at % IN_WORD * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [PastState; 3] =
        [PastState::Complete, PastState::ResetHere, PastState::ResetByPeer];

    #[test]
    fn each_end_is_remembered_for_a_thousand_streams() {
        let mut past = Past::default();
        for number in 0..5_000_u32 {
            let stream = StreamId(number * 2 + 1);
            assert_eq!(past.state(stream), PastState::Idle);
            assert_eq!(past.next(), Some(stream));
            past.open(stream);
            past.close(stream, ENDS[number as usize % 3]);
            for before in 0..number.min(1_100) {
                let earlier = number - before;
                let expected = match before < STREAMS {
                    true => ENDS[earlier as usize % 3],
                    false => PastState::Forgotten,
                };
                if number % 97 == 0 {
                    assert_eq!(past.state(StreamId(earlier * 2 + 1)), expected);
                }
            }
        }
    }

    #[test]
    fn a_thousand_ends_take_256_bytes() {
        assert_eq!(size_of::<[u64; WORDS]>(), 256);
    }

    #[test]
    fn skipped_streams_are_not_complete() {
        let mut past = Past::default();
        past.open(StreamId(1));
        past.close(StreamId(1), PastState::Complete);
        past.open(StreamId(7));
        let states: Vec<_> = [1, 3, 5, 9].map(|id| past.state(StreamId(id))).into();
        use PastState::{Complete, Idle, Skipped};
        assert_eq!(states, [Complete, Skipped, Skipped, Idle]);
        past.open(StreamId::LAST);
        assert_eq!(past.state(StreamId(7)), PastState::Forgotten);
        assert_eq!(past.state(StreamId(StreamId::LAST.get() - 2)), Skipped);
        assert_eq!(past.next(), None);
    }

    #[test]
    fn the_end_of_a_stream_that_is_too_old_changes_nothing() {
        let mut past = Past::default();
        past.open(StreamId(1));
        past.open(StreamId(2 * STREAMS + 1));
        past.close(StreamId(1), PastState::Complete);
        assert_eq!(past.state(StreamId(2 * STREAMS + 1)), PastState::Skipped);
    }
}
