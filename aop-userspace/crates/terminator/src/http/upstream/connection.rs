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
    /// Bytes for the upstream.
    pub(in crate::http) output: Vec<u8>,
    /// The number of bytes of `output` that were written.
    pub(in crate::http) written: usize,
    /// The number of bytes that were written since the beginning.
    pub(in crate::http) total: u64,
    hold: Hold,
    pub(in crate::http) shutdown: Shutdown,
    /// Whether the upstream still takes bytes.
    pub(in crate::http) writes: Writes,
    /// Whether it carried a request before this one.
    pub(in crate::http) is_kept: bool,
    pub(in crate::http) reuse: Reuse,
    pub(in crate::http) close: Close,
    /// When its last bytes were read, or its rest ended, in milliseconds of [`limits::now`].
    read_at: u64,
    /// When the last PING was sent.
    pinged_at: Option<u64>,
    since: Instant,
    /// How long it may rest.
    rest: std::time::Duration,
}

/// Whether the bytes that were written stay in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Over HTTP/1.1 until the response begins, so that the request can be sent again over another
    /// connection.
    Whole,
    Nothing,
}

/// Whether this side ends, while the upstream may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Shutdown {
    None,
    /// After the bytes that wait to be written.
    Due,
    Done,
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

/// The signs of life of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Life {
    Assumed,
    /// A PING waits to be written.
    Asked,
    /// It did not answer a PING.
    Gone,
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
        let (codec, hold) = match version {
            HttpVersion::Http1 => (Codec::Http1(http1::ResponseReader::new()), Hold::Whole),
            HttpVersion::H2c => {
                let codec = http2::Connection::client(limits::CLIENT);
                (Codec::Http2(Box::new(codec)), Hold::Nothing)
            }
        };
        Self {
            stream,
            codec,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            total: 0,
            hold,
            shutdown: Shutdown::None,
            writes: Writes::Open,
            is_kept: false,
            reuse: Reuse::Allowed,
            close: Close::Orderly,
            read_at: limits::now(),
            pinged_at: None,
            since: Instant::now(),
            rest: limits::REST,
        }
    }

    /// Whether bytes wait to be written, here or in the protocol.
    pub(in crate::http) fn has_unwritten(&self) -> bool {
        let waiting = match &self.codec {
            Codec::Http1(_) => false,
            Codec::Http2(codec) => codec.has_output(),
        };
        waiting || self.unwritten() > 0
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
            let written = match Pin::new(&mut self.stream).poll_write(context, bytes) {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    // While some bytes always wait, those that were written would add up.
                    if self.hold == Hold::Nothing && self.written >= limits::UPLOAD {
                        self.forget_written();
                    }
                    return Poll::Pending;
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.total += written as u64;
        }
        if self.hold == Hold::Nothing {
            self.forget_written();
        }
        if self.shutdown == Shutdown::Due && self.writes == Writes::Open {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.shutdown = Shutdown::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// The request need not be sent again: bytes that were written are forgotten.
    pub(in crate::http) fn hold_no_longer(&mut self) {
        self.hold = Hold::Nothing;
        self.forget_written();
    }

    fn forget_written(&mut self) {
        if self.written == self.output.len() {
            self.output.clear();
            self.output.shrink_to(limits::KEPT_BUFFER);
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
        self.read_at = limits::now();
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Asks a silent HTTP/2 upstream for a sign of life, while requests wait for it.
    pub(in crate::http) fn check_life(&mut self, now: u64) -> Life {
        let Codec::Http2(codec) = &mut self.codec else { return Life::Assumed };
        let silent = now.saturating_sub(self.read_at);
        let since_ping = self.pinged_at.map(|at| now.saturating_sub(at));
        if codec.is_ping_pending() {
            let late = since_ping.is_some_and(|since| since >= limits::PING_ANSWER);
            return if late && silent >= limits::PING_ANSWER { Life::Gone } else { Life::Assumed };
        }
        if silent < limits::PING_AFTER || since_ping.is_some_and(|it| it < limits::PING_INTERVAL) {
            return Life::Assumed;
        }
        codec.ping();
        self.pinged_at = Some(now);
        Life::Asked
    }

    /// Prepares a rest in the pool: gives the buffers back.
    pub(in crate::http) fn rest(&mut self) {
        self.input.shrink_to_fit();
        if self.output.capacity() > limits::KEPT_BUFFER {
            self.output = Vec::new();
        }
        self.output.clear();
        if matches!(self.codec, Codec::Http1(_)) {
            self.hold = Hold::Whole;
        }
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
                Poll::Pending => {
                    // An upstream owes nothing at rest.
                    self.read_at = limits::now();
                    return self.can_take_request();
                }
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::{io::AsyncReadExt, net::UnixStream};

    use super::*;

    #[tokio::test]
    async fn bytes_that_were_written_are_forgotten_though_some_always_wait() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = UpstreamConnection::new(UpstreamStream::Unix(ours), HttpVersion::H2c);
        let mut context = Context::from_waker(Waker::noop());
        let mut read = vec![0; 64 * 1024];
        // The peer may fill its window before it notices.
        let window = limits::SERVER.stream_window as usize;
        for _ in 0..256 {
            // As much as the relay lets wait.
            loop {
                if let Poll::Ready(written) = connection.poll_write(&mut context) {
                    written.unwrap();
                }
                if connection.unwritten() >= limits::UPLOAD + window {
                    break;
                }
                connection.output.extend_from_slice(&[0; 16 * 1024]);
            }
            let quiet = std::time::Duration::from_millis(20);
            tokio::time::timeout(quiet, theirs.read(&mut read)).await.ok();
            // The reactor sees that there is room.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let (kept, waiting) = (connection.output.len(), connection.unwritten());
        assert!(kept < 1 << 20, "{kept} bytes are kept, {waiting} wait");
    }
}
