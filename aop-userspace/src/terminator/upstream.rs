//! Reaching the application behind a site.

use std::{io, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{listeners::tune, proxy};
use crate::{config::Upstream, tls::Site};

/// A connected upstream.
pub(super) enum Connected {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects to the upstream of `site` and tells it, if it wants to know, that `peer` connected to
/// our address `local`.
pub(super) async fn connect(
    site: &Site,
    peer: SocketAddr,
    local: SocketAddr,
) -> io::Result<Connected> {
    let header = proxy::header(site.proxy(), peer, local);
    match site.upstream() {
        Upstream::Tcp(authority) => {
            let mut stream = TcpStream::connect(authority).await?;
            tune(SockRef::from(&stream))?;
            stream.write_all(&header).await?;
            Ok(Connected::Tcp(stream))
        }
        Upstream::Unix(path) => {
            let mut stream = UnixStream::connect(path).await?;
            stream.write_all(&header).await?;
            Ok(Connected::Unix(stream))
        }
    }
}

/// A stream that can be closed so that its far end knows the bytes to be incomplete.
pub(super) trait Sever: AsyncRead + AsyncWrite + Unpin {
    /// Closes it by a reset, not by an orderly end.
    fn sever(self);
}

impl Sever for TcpStream {
    fn sever(self) {
        // With no time to linger the kernel sends a reset and drops what is unsent.
        if let Err(error) = SockRef::from(&self).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "upstream closed, not reset");
        }
    }
}

impl Sever for UnixStream {
    /// Unix sockets know no reset; the far end sees the end of the stream.
    fn sever(self) {}
}
