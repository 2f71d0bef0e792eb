//! A small HTTP/1.1 server for the tests, with a log of the connections that it accepts.
//!
//! Usage: `aop-upstream LISTEN LOG`, where LISTEN is `IP:PORT` or `unix:PATH`. It creates the
//! connection log when it listens. `http.rs` defines the responses.
#![allow(clippy::print_stderr, reason = "standard error is its log")]

mod connection_log;
mod http;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::connection_log::ConnectionLog;

/// It closes silent connections after this time, which is longer than any test waits.
const SILENT: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: aop-upstream IP:PORT|unix:PATH LOG";
    let listen = arguments.next().context(usage)?;
    let log = arguments.next().context(usage)?;
    if let Some(path) = listen.strip_prefix("unix:") {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot bind {path}"))?;
        // The user of aop's terminator must be able to connect.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        let log = Arc::new(ConnectionLog::create(&log)?);
        for stream in listener.incoming() {
            serve(stream?, "unix", &log)?;
        }
    } else {
        let listener =
            TcpListener::bind(&listen).with_context(|| format!("cannot bind {listen}"))?;
        let log = Arc::new(ConnectionLog::create(&log)?);
        for stream in listener.incoming() {
            let stream = stream?;
            // The peer may have closed already. It was accepted all the same.
            let peer = stream.peer_addr().map_or("closed".to_owned(), |peer| peer.to_string());
            serve(stream, &peer, &log)?;
        }
    }
    Ok(())
}

/// Logs the connection, then serves it on a new thread.
fn serve<S: Stream>(stream: S, peer: &str, log: &Arc<ConnectionLog>) -> Result<()> {
    let number = log.accept(peer)?;
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        if let Err(error) =
            stream.with_timeout(SILENT).and_then(|stream| http::serve(stream, number, &log))
        {
            eprintln!("connection {number}: {error:#}");
        }
    });
    Ok(())
}

/// A connection over TCP or over a unix socket.
trait Stream: Read + Write + Send + Sized + 'static {
    fn with_timeout(self, timeout: Duration) -> Result<Self>;
    fn finish(&self) -> std::io::Result<()>;
}

impl Stream for TcpStream {
    fn with_timeout(self, timeout: Duration) -> Result<Self> {
        self.set_read_timeout(Some(timeout))?;
        self.set_nodelay(true)?;
        Ok(self)
    }

    fn finish(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn with_timeout(self, timeout: Duration) -> Result<Self> {
        self.set_read_timeout(Some(timeout))?;
        Ok(self)
    }

    fn finish(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
