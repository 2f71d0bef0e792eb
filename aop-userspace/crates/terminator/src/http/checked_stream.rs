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

use super::smuggling_guard::{Fault, Part, Strict};

/// The size of the first read after a rest, when hyper has no buffer.
const FIRST: usize = 4096;

/// The stream.
pub(super) struct Wire {
    stream: PeerStream,
    /// Bytes that were read and checked already.
    read: Bytes,
    strict: Option<Strict>,
    gauge: Arc<Gauge>,
}

/// The state of the stream, readable while hyper owns the stream.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    tunnel: AtomicBool,
    /// Whether the peer is in the middle of a request.
    within: AtomicBool,
    /// Whether the last write is still pending.
    stuck: AtomicBool,
    fault: OnceLock<(Fault, Part)>,
}

impl Gauge {
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
    pub(super) fn now_a_tunnel(&self) {
        self.tunnel.store(true, Relaxed);
    }

    /// Whether the peer does not take the bytes that are ready for it.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Relaxed)
    }

    /// Whether no request is incomplete and no write is pending.
    pub(super) fn is_between(&self) -> bool {
        !self.within.load(Relaxed) && !self.is_stuck()
    }

    fn wrote<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.stuck.store(polled.is_pending(), Relaxed);
        polled
    }

    /// The fault that stopped reading, and the part of the request that it is in.
    pub(super) fn fault(&self) -> Option<(Fault, Part)> {
        self.fault.get().copied()
    }
}

impl Wire {
    /// An HTTP/1 stream.
    pub(super) fn http1(stream: PeerStream, gauge: Arc<Gauge>) -> Self {
        Self { stream, read: Bytes::new(), strict: Some(Strict::default()), gauge }
    }

    /// An HTTP/2 stream. Its frames are unambiguous, so there is no further check.
    pub(super) fn http2(stream: PeerStream, gauge: Arc<Gauge>) -> Self {
        gauge.within.store(true, Relaxed);
        Self { stream, read: Bytes::new(), strict: None, gauge }
    }

    pub(super) fn into_stream(self) -> PeerStream {
        self.stream
    }

    /// The same stream, with bytes that hyper read and did not use. They are copied, because
    /// hyper's buffer may be much larger.
    pub(super) fn after(self, read: &[u8]) -> Self {
        Self { read: Bytes::copy_from_slice(read), ..self }
    }

    /// Waits until the peer sends bytes, and keeps them. `false`: the peer has ended the stream.
    pub(super) fn poll_awake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.read.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let mut first = [0; FIRST];
        let mut buffer = ReadBuf::new(&mut first);
        match Pin::new(&mut *self).poll_read(context, &mut buffer) {
            Poll::Ready(read) => {
                read?;
                self.read = Bytes::copy_from_slice(buffer.filled());
                Poll::Ready(Ok(!self.read.is_empty()))
            }
            // `serve_http1` answers the fault.
            Poll::Pending if self.gauge.fault().is_some() => Poll::Ready(Ok(true)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, read, strict, gauge } = &mut *self;
        if !read.is_empty() {
            let now = read.split_to(read.len().min(buffer.remaining()));
            buffer.put_slice(&now);
            return Poll::Ready(Ok(()));
        }
        if gauge.fault.get().is_some() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        gauge.bytes_in.fetch_add(read.len() as u64, Relaxed);
        if let Some(strict) = strict
            && !gauge.tunnel.load(Relaxed)
        {
            if let Err((fault, whole)) = strict.follow(read) {
                // Reading stops here; complete requests before the fault are still answered. The
                // driver of the connection sees the fault and ends the connection.
                buffer.set_filled(before + whole);
                gauge.fault.get_or_init(|| (fault, strict.part()));
                return if whole > 0 { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            gauge.within.store(!strict.is_between(), Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        let written = ready!(self.gauge.wrote(polled))?;
        self.gauge.bytes_out.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let written = ready!(self.gauge.wrote(polled))?;
        self.gauge.bytes_out.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.gauge.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
