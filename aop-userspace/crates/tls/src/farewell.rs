//! Closing a connection that did not end well.
//!
//! A TLS 1.3 peer sends its first request before it learns that it was refused. Closed with those
//! bytes unread, the kernel sends a reset, and many peers then lose the alert that says why. So the
//! write side is closed first, and what still comes is read and thrown away for a moment.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(1);
const MOST: usize = 256 * 1024;

/// Ends the write side of `stream`, and closes it when the far end does or a moment later.
pub async fn close(mut stream: TcpStream) {
    let ending = async {
        let mut buffer = vec![0; 4096];
        let mut read = 0;
        stream.shutdown().await?;
        while read < MOST {
            match stream.read(&mut buffer).await? {
                0 => break,
                n => read += n,
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever goes wrong, the connection is over.
    if let Ok(Err(error)) = timeout(PATIENCE, ending).await {
        tracing::trace!(%error, "connection broke off while closing");
    }
}
