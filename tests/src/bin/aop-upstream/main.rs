//! A small real HTTP/1.1 server for the tests, with a journal of who connected.
//!
//! Usage: `aop-upstream LISTEN JOURNAL`, where LISTEN is `IP:PORT` or `unix:PATH`. The journal
//! appears when it listens. See `http.rs` for what it answers.
#![allow(clippy::print_stderr, reason = "its log is its standard error")]

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

use crate::connection_log::Journal;

/// Silent peers are let go after this, longer than any test waits.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: aop-upstream IP:PORT|unix:PATH JOURNAL";
    let listen = arguments.next().context(usage)?;
    let journal = arguments.next().context(usage)?;
    if let Some(path) = listen.strip_prefix("unix:") {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot bind {path}"))?;
        // For whoever runs aop's terminator.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        let journal = Arc::new(Journal::create(&journal)?);
        for stream in listener.incoming() {
            serve(stream?, "unix", &journal)?;
        }
    } else {
        let listener =
            TcpListener::bind(&listen).with_context(|| format!("cannot bind {listen}"))?;
        let journal = Arc::new(Journal::create(&journal)?);
        for stream in listener.incoming() {
            let stream = stream?;
            // A peer that is gone already was accepted all the same.
            let peer = stream.peer_addr().map_or("gone".to_owned(), |peer| peer.to_string());
            serve(stream, &peer, &journal)?;
        }
    }
    Ok(())
}

/// Notes the connection, then answers it on a thread of its own.
fn serve<S: Stream>(stream: S, peer: &str, journal: &Arc<Journal>) -> Result<()> {
    let number = journal.accept(peer)?;
    let journal = Arc::clone(journal);
    std::thread::spawn(move || {
        if let Err(error) =
            stream.patient(PATIENCE).and_then(|stream| http::serve(stream, number, &journal))
        {
            eprintln!("connection {number}: {error:#}");
        }
    });
    Ok(())
}

/// What a connection over TCP and one over a unix socket have in common.
trait Stream: Read + Write + Send + Sized + 'static {
    fn patient(self, patience: Duration) -> Result<Self>;
    fn finish(&self) -> std::io::Result<()>;
}

impl Stream for TcpStream {
    fn patient(self, patience: Duration) -> Result<Self> {
        self.set_read_timeout(Some(patience))?;
        self.set_nodelay(true)?;
        Ok(self)
    }

    fn finish(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn patient(self, patience: Duration) -> Result<Self> {
        self.set_read_timeout(Some(patience))?;
        Ok(self)
    }

    fn finish(&self) -> std::io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
