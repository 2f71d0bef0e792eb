//! Visitors that each keep a connection to an edge, and send a request every few milliseconds.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{Netns, wait};

use crate::script::PATIENCE;
use crate::wire::{Body, BodyEnd, Incoming};

/// The visitors of one edge.
const GETTERS: usize = 4;
const POSTERS: usize = 2;
/// The body of each response, which all applications of the load send.
pub(super) const BODY: usize = 1024;

/// Numbers all requests of this run.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A method of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

/// The requests of the visitors of one edge.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: usize,
    slowest: Duration,
    lost_gets: Vec<String>,
    lost_posts: Vec<String>,
}

impl Tally {
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// The longest time from a request to the end of its response.
    pub(super) fn slowest(&self) -> Duration {
        self.slowest
    }

    /// Why each lost GET was lost.
    pub(super) fn lost_gets(&self) -> &[String] {
        &self.lost_gets
    }

    /// Why each lost POST was lost.
    pub(super) fn lost_posts(&self) -> &[String] {
        &self.lost_posts
    }

    fn merge(&mut self, other: Self) {
        self.sent += other.sent;
        self.slowest = self.slowest.max(other.slowest);
        self.lost_gets.extend(other.lost_gets);
        self.lost_posts.extend(other.lost_posts);
    }
}

/// All visitors of the edge at `address`, until `end`. A visitor sends a request `every` so often,
/// or when it has its response, if that is later.
pub(super) fn visit(host: &Netns, address: SocketAddr, every: Duration, end: Instant) -> Tally {
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let method = |index| if index < GETTERS { Method::Get } else { Method::Post };
        let visitors: Vec<_> = (0..GETTERS + POSTERS)
            .map(|index| scope.spawn(move || one(host, address, method(index), every, end)))
            .collect();
        for visitor in visitors {
            all.merge(visitor.join().expect("a visitor does not panic"));
        }
    });
    all
}

fn one(host: &Netns, address: SocketAddr, method: Method, every: Duration, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    while Instant::now() < end {
        let start = Instant::now();
        tally.sent += 1;
        let done = match kept.take() {
            Some(connection) => request(connection, method),
            None => connect(host, address).and_then(|stream| request(stream, method)),
        };
        match done {
            Ok(connection) => kept = Some(connection),
            Err(why) => {
                let why = format!("after {} ms: {why:#}", start.elapsed().as_millis());
                match method {
                    Method::Get => tally.lost_gets.push(why),
                    Method::Post => tally.lost_posts.push(why),
                }
            }
        }
        tally.slowest = tally.slowest.max(start.elapsed());
        wait::until_elapsed(start, every);
    }
    tally
}

/// A connection that is kept between requests.
struct Kept {
    stream: TcpStream,
    incoming: Incoming<TcpStream>,
}

fn connect(host: &Netns, address: SocketAddr) -> Result<Kept> {
    let stream = host.connect(address, PATIENCE).context("no connection to the edge")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let incoming = Incoming::new(stream.try_clone()?);
    Ok(Kept { stream, incoming })
}

/// Sends a request, and returns the connection if the response is right.
fn request(mut kept: Kept, method: Method) -> Result<Kept> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (name, body) = match method {
        Method::Get => ("GET", String::new()),
        Method::Post => ("POST", format!("number={number}")),
    };
    let length = match method {
        Method::Get => String::new(),
        Method::Post => format!("Content-Length: {}\r\n", body.len()),
    };
    let text = format!("{name} /{number} HTTP/1.1\r\nHost: example.com\r\n{length}\r\n{body}");
    kept.stream.write_all(text.as_bytes()).context("the request")?;
    let head = kept.incoming.head().context("the response")?;
    let head = head.context("the edge closed before the response")?;
    let mut body = Body::new(head.response_framing(name));
    while body.piece(&mut kept.incoming).context("the body")? {}
    ensure!(head.word(1) == "200", "{name} /{number}: {}", head.line);
    let body = body.seen();
    ensure!(body.end == BodyEnd::Whole, "{name} /{number}: the body was cut");
    ensure!(body.length == BODY as u64, "{name} /{number}: {} bytes", body.length);
    Ok(kept)
}
