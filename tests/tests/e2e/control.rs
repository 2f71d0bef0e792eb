//! The control socket: one request, one response document, and a timeout for every client.

mod clients;
mod readers;
mod removed;
mod versions;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::stage::{Stage, on_stage};

/// The response of `socket` to these bytes.
pub(crate) fn send_to(stage: &Stage, socket: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = connect(stage, socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // The daemon stops reading after its limit, so the write may fail.
    stream.write_all(bytes).ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn connect(stage: &Stage, socket: &str) -> Result<UnixStream> {
    UnixStream::connect(stage.config.runtime.join(socket)).context("no socket")
}

#[test]
fn invalid_requests_are_refused_and_the_daemon_continues() {
    on_stage(|stage| {
        ensure!(
            send_to(stage, "control.sock", b"{\"verb\":\"status\"}\n")?.starts_with("{\"ok\":{")
        );
        let long = [b'x'; 10_000];
        for nonsense in
            [&b"status\n"[..], b"\n", b"{\"verb\":\"burn\"}\n", b"\xff\xfe\n", b"{\"verb\":1}\n"]
        {
            let answer = send_to(stage, "control.sock", nonsense)?;
            ensure!(answer.starts_with("{\"error\":\"not a request"), "{answer}");
        }
        // A request that is too long is cut off, with or without a response.
        if let Ok(answer) = send_to(stage, "control.sock", &long) {
            ensure!(answer.is_empty() || answer.contains("at most 4096 bytes"), "{answer}");
        }
        stage.daemon.status()?;
        stage.edge_is_served()
    });
}
