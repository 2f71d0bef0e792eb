//! A source of prefix lists that answers whatever a test wants, byte by byte.
//!
//! It listens on the origin's own loopback, where the daemon may fetch without TLS. It is no HTTP
//! server: most of what it says is meant to be wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::World;

/// How long a silent or dripping answer goes on, if nobody hangs up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// What it says to every request until told otherwise.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes, and the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, one at a time, with this pause before each.
    Dripped(Vec<u8>, Duration),
    /// Nothing, for as long as the daemon waits.
    Silence,
}

impl Answer {
    /// A 200 with this body and further header lines.
    #[must_use]
    pub fn ok(kind: &str, more: &[&str], body: &str) -> Self {
        let length = format!("Content-Length: {}", body.len());
        let mut headers = vec![format!("Content-Type: {kind}"), length];
        headers.extend(more.iter().map(|line| (*line).to_owned()));
        Self::raw("200 OK", &headers, body.as_bytes())
    }

    /// A 200 as Cloudflare's API gives it.
    #[must_use]
    pub fn json(body: &str) -> Self {
        Self::ok("application/json", &[], body)
    }

    /// A status line, header lines and a body, as they are.
    #[must_use]
    pub fn raw(status: &str, headers: &[impl AsRef<str>], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
        for header in headers {
            bytes.extend(format!("{}\r\n", header.as_ref()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        Self::Bytes(bytes)
    }
}

/// The server. Ends when dropped.
#[derive(Debug)]
pub struct ListServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl ListServer {
    /// A server on the origin's loopback.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(world: &World, answer: Answer) -> Result<Self> {
        let listener = world.origin().inside(|| TcpListener::bind("127.0.0.1:0"))??;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            requests: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = Some(spawn(move || serve(&listener, &serving)));
        Ok(Self { address, shared, thread })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/client/v4/ips", self.address)
    }

    /// From now on it says this.
    pub fn say(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ListServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            thread.join().ok();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                // A daemon that hangs up is what some answers are for.
                spawn(move || speak(stream, &shared).ok());
            }
            Err(_) => sleep(PAUSE),
        }
    }
}

fn speak(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let answer = shared.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes),
        Answer::Dripped(bytes, pause) => {
            for byte in bytes {
                sleep(pause);
                stream.write_all(&[byte])?;
            }
            Ok(())
        }
        Answer::Silence => {
            let begun = Instant::now();
            while !shared.ended.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                sleep(PAUSE);
            }
            Ok(())
        }
    }
}
