//! A source of prefix lists that sends exactly the bytes that a test wants.
//!
//! It listens on the loopback address of the origin, from which the daemon may fetch without TLS.
//! It is not an HTTP server, because most of its responses are wrong on purpose.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::Lab;
use crate::loopback_server::{LoopbackServer, PATIENCE, ServerEnd};

/// The response to every request.
#[derive(Clone, Debug)]
pub enum ListResponse {
    /// These bytes. Then it closes the connection.
    Bytes(Vec<u8>),
    /// These bytes, one at a time, with this pause before each.
    Dripped(Vec<u8>, Duration),
    /// Nothing, for as long as the daemon waits.
    Silence,
}

impl ListResponse {
    /// A 200 with this body and additional header lines.
    #[must_use]
    pub fn ok(kind: &str, more: &[&str], body: &str) -> Self {
        let length = format!("Content-Length: {}", body.len());
        let mut headers = vec![format!("Content-Type: {kind}"), length];
        headers.extend(more.iter().map(|line| (*line).to_owned()));
        Self::raw("200 OK", &headers, body.as_bytes())
    }

    /// A 200 as Cloudflare's API sends it.
    #[must_use]
    pub fn json(body: &str) -> Self {
        Self::ok("application/json", &[], body)
    }

    /// This status line, these header lines and this body.
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

/// The server. It stops when dropped.
#[derive(Debug)]
pub struct ListServer {
    server: LoopbackServer<Shared>,
}

#[derive(Debug)]
struct Shared {
    response: Mutex<ListResponse>,
    requests: Mutex<Vec<String>>,
}

impl ListServer {
    /// Starts a server on the loopback address of the origin.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(lab: &Lab, response: ListResponse) -> Result<Self> {
        let shared = Shared { response: Mutex::new(response), requests: Mutex::default() };
        Ok(Self { server: LoopbackServer::start(lab, shared, speak)? })
    }

    /// The URL of the list.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/client/v4/ips", self.server.address)
    }

    /// Sets the response to later requests.
    pub fn respond_with(&self, response: ListResponse) {
        *self.server.shared.response.lock().unwrap_or_else(PoisonError::into_inner) = response;
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.server.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn speak(mut stream: TcpStream, shared: &Shared, end: &ServerEnd) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let response = shared.response.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match response {
        ListResponse::Bytes(bytes) => stream.write_all(&bytes),
        ListResponse::Dripped(bytes, pause) => {
            for byte in bytes {
                sleep(pause);
                stream.write_all(&[byte])?;
            }
            Ok(())
        }
        ListResponse::Silence => {
            end.wait(PATIENCE, || false);
            Ok(())
        }
    }
}
