//! An application that closes each connection when its second request arrives, as one does whose
//! workers serve a limited number of requests. aop cannot know whether it acted on that request.

use std::collections::HashSet;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use aop_tests::Lab;

use super::steady::BODY;
use crate::wire::{Body, Incoming};

/// A running racer.
pub(super) struct Racer {
    arrived: Arc<Mutex<Arrived>>,
}

/// The requests that arrived.
#[derive(Debug, Default)]
struct Arrived {
    posts: HashSet<String>,
    /// POSTs that arrived twice.
    doubled: Vec<String>,
    /// Connections that were closed at their second request.
    closed: usize,
}

impl Racer {
    /// Listens on `port` of the origin's loopback.
    ///
    /// # Errors
    /// When the port is in use.
    pub(super) fn start(lab: &Lab, port: u16) -> Result<Self> {
        let listener = lab.origin().inside(|| TcpListener::bind(("127.0.0.1", port)))?;
        let listener = listener.context("the racing application cannot listen")?;
        let arrived = Arc::default();
        let shared = Arc::clone(&arrived);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        Ok(Self { arrived })
    }

    /// A POST may be lost, and it must not arrive twice.
    pub(super) fn faults(&self) -> Vec<String> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults: Vec<String> =
            arrived.doubled.iter().map(|post| format!("{post} arrived twice")).collect();
        if arrived.closed == 0 {
            faults.push("no connection was closed at its second request".to_owned());
        }
        faults
    }
}

fn serve(mut stream: TcpStream, arrived: &Mutex<Arrived>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut incoming = Incoming::new(stream.try_clone()?);
    for is_second in [false, true] {
        let Some(head) = incoming.head()? else { return Ok(()) };
        let mut body = Body::new(head.request_framing());
        while body.piece(&mut incoming)? {}
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if head.word(0) == "POST" && !arrived.posts.insert(head.line.clone()) {
            arrived.doubled.push(head.line);
        }
        if is_second {
            arrived.closed += 1;
            return Ok(());
        }
        drop(arrived);
        let body = "x".repeat(BODY);
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n{body}");
        stream.write_all(text.as_bytes())?;
    }
    Ok(())
}
