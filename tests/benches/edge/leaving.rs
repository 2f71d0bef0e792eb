//! Visitors that leave: the application must learn of it soon, so that it can end its work.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::wait;

use crate::application::{Application, Exchange, RequestSeen};
use crate::network::{Network, Way};
use crate::report::Report;
use crate::script::{PATIENCE, Step};
use crate::wire::BodyEnd;

/// The application must learn of it in this time, which is less than any step may take.
const SOON: Duration = Duration::from_secs(5);

/// One visitor that leaves.
struct Leaver {
    name: &'static str,
    /// The visitor sends this, and leaves once both ends are as far as they get.
    request: &'static str,
    /// The visitor waits for the first bytes of a response.
    is_answered: bool,
    answer: Vec<Step>,
    /// Whether the application saw that the visitor left.
    is_noticed: fn(&RequestSeen) -> bool,
}

fn all() -> [Leaver; 4] {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n";
    let accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    [
        Leaver {
            name: "a reader of endless events leaves",
            request: "GET /events HTTP/1.1\r\nHost: example.com\r\n\r\n",
            is_answered: true,
            answer: vec![Step::ReadBody, Step::Send(events.into()), Step::Endless],
            is_noticed: |seen| seen.failure.is_some(),
        },
        Leaver {
            name: "a visitor leaves before the response",
            request: "GET /slow HTTP/1.1\r\nHost: example.com\r\n\r\n",
            is_answered: false,
            answer: vec![Step::Echo],
            is_noticed: |seen| seen.failure.is_none(),
        },
        Leaver {
            name: "a visitor leaves in an upload",
            request: "POST /upload HTTP/1.1\r\nHost: example.com\r\n\
                      Content-Length: 100000\r\n\r\nbegin",
            is_answered: false,
            answer: vec![Step::ReadSome(5), Step::ReadBody],
            is_noticed: |seen| seen.body.end == BodyEnd::Cut,
        },
        Leaver {
            name: "a visitor leaves a WebSocket",
            request: "GET /socket HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            is_answered: true,
            answer: vec![Step::Send(accept.into()), Step::Echo],
            is_noticed: |seen| seen.failure.is_none(),
        },
    ]
}

/// Runs all of them over both protocols.
///
/// # Errors
/// When the application cannot be started.
pub(crate) fn run(network: &Network, application: &Application, report: &mut Report) -> Result<()> {
    for leaver in all() {
        for way in Way::THROUGH_AOP {
            // pingora makes tunnels over HTTP/1.1 alone.
            if way == Way::Http2 && leaver.request.contains("Upgrade") {
                continue;
            }
            let name = format!("{}, {}", leaver.name, way.name());
            match leave(network, application, &leaver, way) {
                Ok(took) => {
                    report.scenario(&name, &format!("noticed in {} ms", took.as_millis()), &[]);
                }
                Err(why) => report.scenario(&name, "NOT NOTICED", &[format!("{why:#}")]),
            }
        }
    }
    Ok(())
}

/// Returns how long the application took to notice.
fn leave(
    network: &Network,
    application: &Application,
    leaver: &Leaver,
    way: Way,
) -> Result<Duration> {
    let exchange = Exchange::new(leaver.answer.clone());
    application.play(&exchange);
    let mut stream = network.connect(way)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(leaver.request.as_bytes())?;
    let arrived = || exchange.has_begun().then_some(());
    wait::until("the request arrives", PATIENCE, arrived)?;
    if leaver.is_answered {
        let mut first = [0; 16];
        stream.read_exact(&mut first).context("the response")?;
        ensure!(first.starts_with(b"HTTP/1.1 "), "no response");
    }
    ensure!(exchange.seen().is_empty(), "the application has ended before the visitor left");
    drop(stream);
    let left = Instant::now();
    let seen = noticed(&exchange)?;
    ensure!((leaver.is_noticed)(&seen), "the application saw {seen:?}");
    Ok(left.elapsed())
}

fn noticed(exchange: &Arc<Exchange>) -> Result<RequestSeen> {
    wait::until("the application notices", SOON, || exchange.seen().pop())
}
