//! Connecting to the application behind a site.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use aop_config::UpstreamAddress;
use aop_listeners::set_tcp_options;
use rustix::io::Errno;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A connected upstream.
pub(super) enum UpstreamStream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection over a Unix socket.
    Unix(UnixStream),
}

/// Connects to `upstream` and sends `header`, which may be empty.
pub(super) async fn connect_with_header(
    upstream: &UpstreamAddress,
    header: &[u8],
) -> io::Result<UpstreamStream> {
    let mut stream = connect(upstream).await?;
    stream.write_all(header).await?;
    Ok(stream)
}

/// Connects to `upstream`.
pub(super) async fn connect(upstream: &UpstreamAddress) -> io::Result<UpstreamStream> {
    match upstream {
        UpstreamAddress::Tcp(authority) => {
            let stream = TcpStream::connect(authority).await?;
            set_tcp_options(SockRef::from(&stream))?;
            Ok(UpstreamStream::Tcp(stream))
        }
        UpstreamAddress::Unix(path) => Ok(UpstreamStream::Unix(UnixStream::connect(path).await?)),
    }
}

/// Whether this process or this host has no file descriptor left.
pub(super) fn lacks_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).map(Some).contains(&error.raw_os_error())
}

impl UpstreamStream {
    /// Closes with a reset, which tells the upstream that the data is incomplete. Unix sockets have
    /// no reset: there the upstream sees an end of stream.
    pub(super) fn reset(self) {
        let Self::Tcp(stream) = self else { return };
        // With a linger time of zero the kernel sends a reset and discards unsent bytes.
        if let Err(error) = SockRef::from(&stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "cannot reset an upstream connection: it is closed instead");
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
