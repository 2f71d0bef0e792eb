//! The open streams (RFC 9113, 5.1): their states and their windows.
//!
//! Identifiers only grow, so a vector in the order of opening is sorted, and a search in it is
//! quick for the few hundred streams of a connection.

use super::{
    StreamId,
    window::{ReceiveWindow, SendWindow},
};

/// A stream of which at least one side has not ended.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) receiving: Receiving,
    pub(super) sending: Sending,
    pub(super) standing: Standing,
    pub(super) method: Method,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    /// The bytes of the body that are still to come, if its length was announced.
    pub(super) length: Option<u64>,
}

/// The peer's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// To a client: the final response has not begun.
    Head,
    Body,
    Ended,
}

/// This side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// The final response of a server has not begun.
    Head,
    Body,
    Ended,
}

/// Whether the caller was given the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Sound,
    /// The head is malformed: the caller may answer, and the rest is discarded.
    Malformed,
}

/// The method of a client's request, as far as the response depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

impl Method {
    pub(super) fn new(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

impl Stream {
    /// Gives bytes of the body back to the stream's window, which has `size` bytes. `Some`: the
    /// increment of an update that is due. A side that has ended needs no update.
    pub(super) fn credit(&mut self, bytes: usize, size: u32) -> Option<u32> {
        match self.receiving {
            Receiving::Head | Receiving::Body => self.receive_window.consume(bytes, size),
            Receiving::Ended => None,
        }
    }
}

/// The open streams, in the order of their identifiers.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a stream above all others.
    pub(super) fn push(&mut self, stream: Stream) {
        self.0.push(stream);
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.position(id).map(|at| &self.0[at])
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.position(id).map(|at| &mut self.0[at])
    }

    /// Removes a stream, if it is there.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<Stream> {
        self.position(id).map(|at| self.0.remove(at))
    }

    /// Removes the last stream, if its identifier is above `id`.
    pub(super) fn pop_above(&mut self, id: StreamId) -> Option<Stream> {
        self.0.pop_if(|stream| stream.id > id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.0.iter_mut()
    }

    /// Gives memory back, if no stream is open.
    pub(super) fn shrink(&mut self) {
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    fn position(&self, id: StreamId) -> Option<usize> {
        self.0.binary_search_by_key(&id, |stream| stream.id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_when_no_stream_is_open() {
        let mut streams = Streams::default();
        for id in [1, 3] {
            streams.push(Stream {
                id: StreamId::new(id),
                receiving: Receiving::Body,
                sending: Sending::Head,
                standing: Standing::Sound,
                method: Method::Other,
                send_window: SendWindow::new(1),
                receive_window: ReceiveWindow::new(1),
                length: None,
            });
        }
        assert!(streams.remove(StreamId::new(1)).is_some());
        streams.shrink();
        assert!(streams.get(StreamId::new(3)).is_some() && streams.0.capacity() > 0);
        streams.remove(StreamId::new(3));
        streams.shrink();
        assert_eq!(streams.0.capacity(), 0);
    }
}
