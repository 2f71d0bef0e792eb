//! A connection to an upstream: its socket, its protocol, and the bytes between the two.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aop_config::HttpVersion;
use aop_http::{http1, http2};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{http::limits, upstream::UpstreamStream};

/// A connection, idle or in use.
pub(in crate::http) struct UpstreamConnection {
    pub(in crate::http) stream: UpstreamStream,
    pub(in crate::http) codec: Codec,
    /// Bytes that were read and not yet parsed.
    pub(in crate::http) input: Vec<u8>,
    /// Bytes for the upstream. Over HTTP/1.1 the request stays whole until its response begins, so
    /// that it can be sent again over another connection.
    pub(in crate::http) output: Vec<u8>,
    /// The number of bytes of `output` that were written.
    pub(in crate::http) written: usize,
    /// Whether the upstream still takes bytes.
    pub(in crate::http) writes: Writes,
    /// Whether it carried a request before this one.
    pub(in crate::http) is_kept: bool,
    pub(in crate::http) reuse: Reuse,
    pub(in crate::http) close: Close,
    since: Instant,
    /// How long it may rest.
    rest: std::time::Duration,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Close {
    Orderly,
    /// The upstream has a part of a request, and must not take it for the whole.
    Reset,
}

/// Whether other requests may use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Reuse {
    Allowed,
    /// It began with a PROXY header for one visitor, or a response on it was late.
    Forbidden,
}

/// Whether an upstream takes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Writes {
    Open,
    /// A write failed. The response may have arrived before.
    Failed,
}

/// The protocol.
pub(in crate::http) enum Codec {
    Http1(http1::ResponseReader),
    Http2(Box<http2::Connection>),
}

impl UpstreamConnection {
    pub(in crate::http) fn new(stream: UpstreamStream, version: HttpVersion) -> Self {
        let codec = match version {
            HttpVersion::Http1 => Codec::Http1(http1::ResponseReader::new()),
            HttpVersion::H2c => Codec::Http2(Box::new(http2::Connection::client(limits::CLIENT))),
        };
        Self {
            stream,
            codec,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            writes: Writes::Open,
            is_kept: false,
            reuse: Reuse::Allowed,
            close: Close::Orderly,
            since: Instant::now(),
            rest: limits::REST,
        }
    }

    /// The bytes that wait to be written.
    pub(in crate::http) fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Writes what waits to be written.
    pub(in crate::http) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Codec::Http2(codec) = &mut self.codec {
            self.output.append(codec.output());
        }
        while self.writes == Writes::Open && self.written < self.output.len() {
            let bytes = &self.output[self.written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        if matches!(self.codec, Codec::Http2(_)) {
            self.forget_written();
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets the bytes that were written: the request can no longer be sent again.
    pub(in crate::http) fn forget_written(&mut self) {
        if self.written == self.output.len() {
            self.output.clear();
        } else {
            self.output.drain(..self.written);
        }
        self.written = 0;
    }

    /// Reads into `buffer`. Zero bytes are the end of the stream.
    pub(in crate::http) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Prepares a rest in the pool: gives the buffers back.
    pub(in crate::http) fn rest(&mut self) {
        self.input.shrink_to_fit();
        if self.output.capacity() > limits::KEPT_BUFFER {
            self.output = Vec::new();
        }
        self.output.clear();
        (self.written, self.since, self.is_kept) = (0, Instant::now(), true);
        self.rest = match &self.codec {
            Codec::Http1(reader) => limits::rest(reader.keep_alive_timeout()),
            Codec::Http2(_) => limits::REST,
        };
    }

    /// Whether it can carry another request, now that no exchange uses it. Over HTTP/1.1 a byte
    /// behind the response would be taken for the next one.
    pub(in crate::http) fn can_rest(&self) -> bool {
        let idle = self.reuse == Reuse::Allowed && self.unwritten() == 0;
        idle && match &self.codec {
            Codec::Http1(reader) => {
                self.input.is_empty() && reader.is_between_messages() && reader.keeps_alive()
            }
            Codec::Http2(codec) => codec.can_open() && codec.open_streams() == 0,
        }
    }

    /// Ends it.
    pub(in crate::http) fn close(self: Box<Self>) {
        match self.close {
            Close::Orderly => {}
            Close::Reset => self.stream.reset(),
        }
    }

    /// Whether it has rested too long to be used again.
    pub(in crate::http) fn has_expired(&self) -> bool {
        self.since.elapsed() >= self.rest
    }

    /// Whether it is still open, as far as that is known without a write.
    pub(in crate::http) fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        if self.has_expired() {
            return false;
        }
        let mut buffer = [0; 1024];
        loop {
            match self.poll_read(context, &mut buffer) {
                Poll::Pending => return self.can_take_request(),
                Poll::Ready(Ok(0) | Err(_)) => return false,
                Poll::Ready(Ok(read)) => {
                    if self.receive_at_rest(&buffer[..read]).is_err() {
                        return false;
                    }
                }
            }
        }
    }

    fn can_take_request(&self) -> bool {
        match &self.codec {
            Codec::Http1(_) => true,
            Codec::Http2(codec) => codec.can_open(),
        }
    }

    /// Takes bytes that arrived at rest: HTTP/2 frames about the connection. An HTTP/1.1 upstream
    /// must send none: they would be taken for the next response.
    fn receive_at_rest(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let Codec::Http2(codec) = &mut self.codec else { return Err(()) };
        self.input.extend_from_slice(bytes);
        let mut rest = &self.input[..];
        while let Some(_event) = codec.receive(&mut rest, limits::now()).map_err(|_| ())? {}
        let parsed = self.input.len() - rest.len();
        self.input.drain(..parsed);
        Ok(())
    }
}
