//! Reads from the peer and writes to it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use aop_http::{
    Malformed,
    http2::{ConnectionError, End, StreamId},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Flush, HttpRelay, Peer, Reading, RelayEnd, SCRATCH};
use crate::http::{
    denial::Denial,
    exchange::{ResponseState, UploadState, answer},
    limits,
    peer::PeerFault,
    request_policy::DenialFacts,
};

impl HttpRelay {
    /// Reads from the peer, as far as there is room for what it asks. `Ok(true)`: something was
    /// read or parsed.
    pub(super) fn read_peer(&mut self, context: &mut Context<'_>) -> Result<bool, RelayEnd> {
        if self.last_words.is_some() || self.tunnel.is_some() {
            return Ok(false);
        }
        let mut worked = false;
        let kept = self.input.len();
        if kept > 0 && self.may_receive() {
            let input = std::mem::take(&mut self.input);
            let mut rest = &input[..];
            self.receive(&mut rest, context)?;
            let parsed = input.len() - rest.len();
            worked |= parsed > 0;
            self.input = input;
            self.input.drain(..parsed);
        }
        while self.reading == Reading::Open && self.may_read() {
            let read = SCRATCH.with_borrow_mut(|scratch| self.read_some(scratch, context));
            match read? {
                Poll::Pending => break,
                Poll::Ready(()) => worked = true,
            }
        }
        Ok(worked)
    }

    /// Reads once.
    fn read_some(
        &mut self,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Result<Poll<()>, RelayEnd> {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Err(_)) => {
                self.abort_all();
                return Err(RelayEnd::PeerLost);
            }
            Poll::Ready(Ok(())) => {}
        }
        let bytes = buffer.filled();
        if bytes.is_empty() {
            self.reading = Reading::Ended;
            let clean = self.exchanges.is_empty();
            if clean && self.waiting() > 0 {
                // The peer may still read.
                self.last_words = Some(RelayEnd::PeerEnded);
                return Ok(Poll::Pending);
            }
            self.abort_all();
            return Err(if clean { RelayEnd::PeerEnded } else { RelayEnd::PeerLost });
        }
        self.stats.bytes_in += bytes.len() as u64;
        if self.input.is_empty() {
            let mut rest = bytes;
            if self.may_receive() {
                self.receive(&mut rest, context)?;
            }
            self.input.extend_from_slice(rest);
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(bytes);
            let mut rest = &input[..];
            if self.may_receive() {
                self.receive(&mut rest, context)?;
            }
            let parsed = input.len() - rest.len();
            input.drain(..parsed);
            self.input = input;
        }
        Ok(Poll::Ready(()))
    }

    /// Whether more may be read from the socket.
    fn may_read(&self) -> bool {
        self.input.len() < limits::READ && self.last_words.is_none() && self.tunnel.is_none()
    }

    /// Whether more of the peer's bytes may be parsed: there is room for what they cause.
    fn may_receive(&mut self) -> bool {
        let full = self.waiting() >= limits::OUTPUT;
        match &self.peer {
            Peer::Http1(server) if full && !server.is_receiving() => false,
            // One request at a time; its body waits until the upstream takes it.
            Peer::Http1(_) => self.exchanges.iter().all(|(_, exchange)| {
                exchange.upload.pending.len() + exchange.upload.uncredited < limits::UPLOAD
            }),
            Peer::Http2(_) => !full,
        }
    }

    /// Parses the peer's bytes.
    fn receive(&mut self, input: &mut &[u8], context: &mut Context<'_>) -> Result<(), RelayEnd> {
        loop {
            match self.peer.receive(input, self.now) {
                Ok(Some(event)) => self.on_peer_event(event, context),
                Ok(None) => return Ok(()),
                Err(PeerFault::Http1(malformed)) => {
                    self.end_malformed(&malformed);
                    return Ok(());
                }
                Err(PeerFault::Http2(error)) => {
                    self.end_http2(error);
                    return Ok(());
                }
            }
            // The end of a message needs no byte.
            if self.last_words.is_some() || (!input.is_empty() && !self.may_receive()) {
                return Ok(());
            }
        }
    }

    /// Ends an HTTP/1.1 connection whose bytes cannot be understood. While a response is under way,
    /// the peer would take the answer for a part of it.
    fn end_malformed(&mut self, malformed: &Malformed) {
        let denial = Denial::from(malformed.fault);
        let of_body = self.exchanges.iter().find(|(_, exchange)| {
            exchange.upload.state == UploadState::Open
                && exchange.response != ResponseState::Complete
        });
        match of_body.map(|(at, _)| at) {
            Some(at) => self.abort_for(at, denial, Some(malformed)),
            None => {
                let facts = DenialFacts { fault: Some(malformed), ..DenialFacts::default() };
                self.policy.record(denial, &facts);
            }
        }
        if let Peer::Http1(server) = &self.peer
            && (server.is_responding() || server.is_draining())
        {
            let complete = server.is_draining();
            self.abort_all();
            self.last_words = Some(match complete {
                true => RelayEnd::Malformed,
                false => RelayEnd::Incomplete,
            });
            return;
        }
        self.abort_all();
        let text = format!("The request is refused: {}.\n", malformed.fault.text());
        self.peer.shut_down();
        answer(&mut self.response, denial.status(), b"text/plain", &text);
        let stream = StreamId::new(1);
        self.peer.respond(stream, &self.response, b"");
        self.peer.send(stream, text.as_bytes(), End::Yes);
        self.last_words = Some(RelayEnd::Malformed);
    }

    fn end_http2(&mut self, error: ConnectionError) {
        let facts = DenialFacts { fault: Some(&error), ..DenialFacts::default() };
        self.policy.record(Denial::BadRequest, &facts);
        self.peer.fail(&PeerFault::Http2(error));
        self.abort_all();
        self.last_words = Some(RelayEnd::Malformed);
    }

    /// Writes what waits for the peer. Ready: nothing is left; `true`: bytes were written.
    pub(super) fn write_peer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut worked = false;
        loop {
            if self.written == self.writing.len() {
                self.written = 0;
                self.writing.clear();
                std::mem::swap(&mut self.writing, self.peer.output());
            }
            if self.writing.is_empty() {
                break;
            }
            let writing = std::mem::take(&mut self.writing);
            let written = self.write_bytes(&writing[self.written..], context);
            self.writing = writing;
            match written {
                Ok(written) => self.written += written,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if self.written < self.writing.len() {
                return Poll::Pending;
            }
            worked = true;
            // There is room again.
            self.resume_held();
        }
        if self.flush == Flush::Due {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.flush = Flush::Done,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(worked))
    }

    /// Writes a large part of a body from where it was read, without a copy, if nothing waits
    /// before it. Returns how much was written.
    pub(super) fn write_through(&mut self, bytes: &[u8]) -> usize {
        let unframed = self.peer.unframed(bytes.len());
        if unframed < limits::WRITTEN_THROUGH || self.waiting() > 0 {
            return 0;
        }
        let task = self.ready.task();
        let mut context = Context::from_waker(task.as_ref().unwrap_or(Waker::noop()));
        // An error comes again with the next write.
        let Poll::Ready(Ok(written)) =
            Pin::new(&mut self.stream).poll_write(&mut context, &bytes[..unframed])
        else {
            return 0;
        };
        self.stats.bytes_out += written as u64;
        self.written_through += written;
        self.flush = Flush::Due;
        self.peer.count_unframed(written);
        written
    }

    /// Writes as much of `bytes` as the TLS session takes, and returns how much that is.
    fn write_bytes(&mut self, bytes: &[u8], context: &mut Context<'_>) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut self.stream).poll_write(context, &bytes[written..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(more)) => {
                    written += more;
                    self.stats.bytes_out += more as u64;
                    self.flush = Flush::Due;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(written)
    }
}
