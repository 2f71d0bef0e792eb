//! Lingering close: closes a refused connection so that the peer can read the reason.
//!
//! A TLS 1.3 peer sends its first request before it learns that it was refused. If the socket is
//! closed while those bytes are unread, the kernel sends a RST, and many peers then lose the alert
//! that gives the reason. So the write side is closed first, and incoming bytes are read and
//! discarded for a moment.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::TcpStream,
    time::timeout,
};

const TIMEOUT: Duration = Duration::from_secs(1);
const MAX_BYTES: u64 = 256 * 1024;

/// Shuts down the write side of `stream`. Closes the socket when the peer does, or after
/// `TIMEOUT` or `MAX_BYTES` bytes.
pub async fn lingering_close(mut stream: TcpStream) {
    let discard = async {
        stream.shutdown().await?;
        copy(&mut stream.take(MAX_BYTES), &mut sink()).await
    };
    if let Ok(Err(error)) = timeout(TIMEOUT, discard).await {
        tracing::trace!(%error, "connection broke off while closing");
    }
}
