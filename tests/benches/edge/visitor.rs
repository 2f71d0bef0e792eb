//! A visitor: it sends its part of a script over HTTP/1.1, and reads all that comes back at the
//! same time.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use anyhow::{Context, Result, bail};

use crate::script::{Progress, SILENCE, Step, pieces};
use crate::wire::{Body, BodySeen, Head, Incoming};

/// All that a visitor received for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// The interim responses.
    pub(crate) interim: Vec<Head>,
    /// The response, unless the connection ended before.
    pub(crate) response: Option<(Head, BodySeen)>,
}

/// Sends `script` on `stream`, a new connection, and reads the response.
///
/// # Errors
/// When a step takes too long.
pub(crate) fn visit(
    stream: &TcpStream,
    script: &[Step],
    progress: &Progress,
    method: &str,
) -> Result<Received> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(stream, script, progress));
        let received = receive(stream, progress, method);
        // Ends a sender whose bytes nobody reads any more.
        stream.shutdown(Shutdown::Both).ok();
        let sent = sender.join().unwrap_or_else(|_| bail!("the sender panicked"));
        let received = received.context("the response")?;
        // An early response may end the connection while the visitor sends.
        if received.response.is_none() {
            sent.context("the request")?;
        }
        Ok(received)
    })
}

fn send(mut stream: &TcpStream, script: &[Step], progress: &Progress) -> Result<()> {
    for step in script {
        progress.wait(step)?;
        for piece in pieces(step) {
            stream.write_all(&piece)?;
        }
    }
    Ok(())
}

fn receive(stream: &TcpStream, progress: &Progress, method: &str) -> Result<Received> {
    let mut incoming = Incoming::new(stream.try_clone()?);
    let mut received = Received::default();
    loop {
        let head = match incoming.head() {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(received),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Ok(received);
            }
            Err(error) => return Err(error.into()),
        };
        progress.head();
        if head.word(1).starts_with('1') && head.word(1) != "101" {
            received.interim.push(head);
            continue;
        }
        let framing = head.response_framing(method);
        let mut body = Body::new(framing);
        while body.piece(&mut incoming)? {
            progress.received(body.length());
            // The visitor ends a tunnel when all of the script has come back.
            if head.word(1) == "101" && ends_tunnel(&body) {
                break;
            }
        }
        progress.received(body.length());
        received.response = Some((head, body.seen()));
        return Ok(received);
    }
}

/// Bytes of a tunnel after which the visitor leaves.
pub(crate) const TUNNEL: u64 = 100_000;

fn ends_tunnel(body: &Body) -> bool {
    body.length() >= TUNNEL
}
