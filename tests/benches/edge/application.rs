//! The application of the cases: an HTTP/1.1 server that plays the script of the present case and
//! keeps what it saw of the request.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aop_tests::Lab;

use crate::script::{PATIENCE, Progress, SILENCE, Step, pieces};
use crate::wire::{Body, BodySeen, Framing, Head, Incoming, is_end};

/// Connections of the pool are idle longer than a step may take.
const IDLE: Duration = Duration::from_secs(120);
/// Between the chunks of an endless answer.
const PAUSE: Duration = Duration::from_millis(10);

/// One exchange: the script of the application and the progress of both ends.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) answer: Vec<Step>,
    pub(crate) progress: Progress,
    begun: AtomicBool,
    seen: Mutex<Vec<RequestSeen>>,
}

/// A request as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestSeen {
    pub(crate) head: Head,
    pub(crate) body: BodySeen,
    /// Why the script was not played to its end.
    pub(crate) failure: Option<String>,
}

impl Exchange {
    pub(crate) fn new(answer: Vec<Step>) -> Arc<Self> {
        Arc::new(Self { answer, ..Self::default() })
    }

    /// Whether the head of a request has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// The requests that have been answered.
    pub(crate) fn seen(&self) -> Vec<RequestSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running application.
pub(crate) struct Application {
    present: Arc<Mutex<Arc<Exchange>>>,
}

impl Application {
    /// Listens on `port` of all addresses of the origin.
    ///
    /// # Errors
    /// When the port is in use.
    pub(crate) fn start(lab: &Lab, port: u16) -> Result<Self> {
        let listener = lab.origin().inside(|| TcpListener::bind(("0.0.0.0", port)))?;
        let listener = listener.context("the application cannot listen")?;
        let present = Arc::new(Mutex::new(Exchange::new(Vec::new())));
        let shared = Arc::clone(&present);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Ok(Self { present })
    }

    /// The next requests belong to `exchange`.
    pub(crate) fn play(&self, exchange: &Arc<Exchange>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        *present = Arc::clone(exchange);
    }
}

fn serve(stream: TcpStream, present: &Mutex<Arc<Exchange>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut incoming = Incoming::new(stream.try_clone()?);
    loop {
        stream.set_read_timeout(Some(IDLE))?;
        let Some(head) = incoming.head()? else { return Ok(()) };
        stream.set_read_timeout(Some(SILENCE))?;
        let exchange = Arc::clone(&present.lock().unwrap_or_else(PoisonError::into_inner));
        exchange.begun.store(true, Ordering::SeqCst);
        let tunnels = exchange.answer.iter().any(|step| matches!(step, Step::Echo));
        let framing = if tunnels { Framing::UntilClose } else { head.request_framing() };
        let mut body = Body::new(framing);
        let played = play(&stream, &mut incoming, &mut body, &exchange);
        // A script that leaves the body alone, or closes, ends the connection.
        let is_kept = played.as_ref().is_ok_and(|kept| *kept) && body.has_ended();
        let failure = played.err().map(|why| format!("{why:#}"));
        let request = RequestSeen { head, body: body.seen(), failure };
        exchange.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if !is_kept {
            return Ok(());
        }
    }
}

/// Plays the script. Returns whether the connection may be kept.
fn play(
    mut stream: &TcpStream,
    incoming: &mut Incoming<TcpStream>,
    body: &mut Body,
    exchange: &Exchange,
) -> Result<bool> {
    let progress = &exchange.progress;
    for step in &exchange.answer {
        match *step {
            Step::ReadBody => {
                while body.piece(incoming)? {
                    progress.read(body.length());
                }
                progress.read(body.length());
            }
            Step::ReadSome(least) => {
                while body.length() < least && body.piece(incoming)? {}
                progress.read(body.length());
            }
            Step::Echo => match echo(stream, incoming) {
                Err(error) if !is_end(&error) => return Err(error.into()),
                Ok(()) | Err(_) => return Ok(false),
            },
            Step::Endless => {
                let until = Instant::now() + PATIENCE;
                while Instant::now() < until {
                    stream.write_all(b"a\r\ndata: go\n\n\r\n")?;
                    std::thread::sleep(PAUSE);
                }
                return Ok(false);
            }
            Step::Close => return Ok(false),
            Step::AwaitHeads(_) | Step::AwaitReceived(_) | Step::AwaitRead(_) => {
                progress.wait(step)?;
            }
            Step::Send(_) | Step::Pattern(_) | Step::Chunks { .. } => {
                for piece in pieces(step) {
                    stream.write_all(&piece)?;
                }
            }
        }
    }
    Ok(true)
}

/// Sends everything back until the peer closes.
fn echo(mut stream: &TcpStream, incoming: &mut Incoming<TcpStream>) -> io::Result<()> {
    loop {
        let bytes = incoming.bytes()?;
        if bytes.is_empty() {
            return Ok(());
        }
        stream.write_all(&bytes)?;
    }
}
