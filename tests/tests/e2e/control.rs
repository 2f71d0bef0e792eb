//! The control socket: one request, one document, and patience with nobody.

mod clients;
mod readers;
mod versions;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::stage::{Stage, on_stage};

/// What `socket` answers to these bytes.
pub(crate) fn say(stage: &Stage, socket: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = connect(stage, socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // A daemon that has read enough does not read the rest.
    stream.write_all(bytes).ok();
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn connect(stage: &Stage, socket: &str) -> Result<UnixStream> {
    UnixStream::connect(stage.config.runtime.join(socket)).context("no socket")
}

#[test]
fn what_is_no_request_is_refused_and_the_daemon_goes_on() {
    on_stage(|stage| {
        ensure!(say(stage, "control.sock", b"{\"verb\":\"status\"}\n")?.starts_with("{\"ok\":{"));
        let long = [b'x'; 10_000];
        for nonsense in
            [&b"status\n"[..], b"\n", b"{\"verb\":\"burn\"}\n", b"\xff\xfe\n", b"{\"verb\":1}\n"]
        {
            let answer = say(stage, "control.sock", nonsense)?;
            ensure!(answer.starts_with("{\"error\":\"not a request"), "{answer}");
        }
        // One that is too long is cut off, answered or not.
        if let Ok(answer) = say(stage, "control.sock", &long) {
            ensure!(answer.is_empty() || answer.contains("at most 4096 bytes"), "{answer}");
        }
        stage.daemon.status()?;
        stage.edge_is_served()
    });
}
