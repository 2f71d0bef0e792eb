//! The peer's TLS stream under HTTP: counts bytes and, for HTTP/1, refuses ambiguous requests
//! before hyper parses them.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use aop_tls::PeerStream;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::smuggling_guard::{FramingFault, RequestFramer, RequestPart};

/// The size of the first read after a rest, when hyper has no buffer.
const READ_AHEAD: usize = 4096;

/// The stream.
pub(super) struct CheckedStream {
    stream: PeerStream,
    /// Bytes that were read and checked already.
    read: Bytes,
    framer: Option<RequestFramer>,
    stats: Arc<StreamStats>,
}

/// The next input of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    Bytes,
    /// The end of the stream.
    End,
}

/// The state of the stream, readable while hyper owns the stream.
#[derive(Debug, Default)]
pub(super) struct StreamStats {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    tunnel: AtomicBool,
    /// Whether the peer is in the middle of a request.
    in_request: AtomicBool,
    /// Whether the last write is still pending.
    write_pending: AtomicBool,
    fault: OnceLock<(FramingFault, RequestPart)>,
}

impl StreamStats {
    /// Bytes from the peer, and bytes to it.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.bytes_in.load(Relaxed), self.bytes_out.load(Relaxed))
    }

    /// Adds bytes that bypassed this stream, in a tunnel.
    pub(super) fn add(&self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in.fetch_add(bytes_in, Relaxed);
        self.bytes_out.fetch_add(bytes_out, Relaxed);
    }

    /// From now on the bytes are no longer HTTP.
    pub(super) fn set_tunnel(&self) {
        self.tunnel.store(true, Relaxed);
    }

    /// Whether the peer does not take the bytes that are ready for it.
    pub(super) fn is_write_pending(&self) -> bool {
        self.write_pending.load(Relaxed)
    }

    /// Whether no request is incomplete and no write is pending.
    pub(super) fn is_between_requests(&self) -> bool {
        !self.in_request.load(Relaxed) && !self.is_write_pending()
    }

    fn wrote<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.write_pending.store(polled.is_pending(), Relaxed);
        polled
    }

    /// The fault that stopped reading, and the part of the request that it is in.
    pub(super) fn fault(&self) -> Option<(FramingFault, RequestPart)> {
        self.fault.get().copied()
    }
}

impl CheckedStream {
    /// An HTTP/1 stream.
    pub(super) fn http1(stream: PeerStream, stats: Arc<StreamStats>) -> Self {
        Self { stream, read: Bytes::new(), framer: Some(RequestFramer::default()), stats }
    }

    /// An HTTP/2 stream. Its frames are unambiguous, so there is no further check.
    pub(super) fn http2(stream: PeerStream, stats: Arc<StreamStats>) -> Self {
        stats.in_request.store(true, Relaxed);
        Self { stream, read: Bytes::new(), framer: None, stats }
    }

    pub(super) fn into_stream(self) -> PeerStream {
        self.stream
    }

    /// The same stream, with bytes that hyper read and did not use. They are copied, because
    /// hyper's buffer may be much larger.
    pub(super) fn with_read_ahead(self, read: &[u8]) -> Self {
        Self { read: Bytes::copy_from_slice(read), ..self }
    }

    /// Waits until the peer sends bytes, and keeps them.
    pub(super) fn poll_readable(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Readable>> {
        if !self.read.is_empty() {
            return Poll::Ready(Ok(Readable::Bytes));
        }
        let mut first = [0; READ_AHEAD];
        let mut buffer = ReadBuf::new(&mut first);
        match Pin::new(&mut *self).poll_read(context, &mut buffer) {
            Poll::Ready(read) => {
                read?;
                self.read = Bytes::copy_from_slice(buffer.filled());
                Poll::Ready(Ok(if self.read.is_empty() { Readable::End } else { Readable::Bytes }))
            }
            // `serve_http1` answers the fault.
            Poll::Pending if self.stats.fault().is_some() => Poll::Ready(Ok(Readable::Bytes)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for CheckedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, read, framer, stats } = &mut *self;
        if !read.is_empty() {
            let now = read.split_to(read.len().min(buffer.remaining()));
            buffer.put_slice(&now);
            return Poll::Ready(Ok(()));
        }
        if stats.fault.get().is_some() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        stats.bytes_in.fetch_add(read.len() as u64, Relaxed);
        if let Some(framer) = framer
            && !stats.tunnel.load(Relaxed)
        {
            if let Err((fault, whole)) = framer.check(read) {
                // Reading stops here; complete requests before the fault are still answered. The
                // driver of the connection sees the fault and ends the connection.
                buffer.set_filled(before + whole);
                stats.fault.get_or_init(|| (fault, framer.part()));
                return if whole > 0 { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            stats.in_request.store(!framer.is_at_boundary(), Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CheckedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        let written = ready!(self.stats.wrote(polled))?;
        self.stats.bytes_out.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let written = ready!(self.stats.wrote(polled))?;
        self.stats.bytes_out.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.stats.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
