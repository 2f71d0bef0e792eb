//! A minimal HTTP/1.1 server with keep-alive. The responses:
//!
//! - `GET /bytes/N`: N bytes in a pattern of 251, so that lost or doubled bytes are detected.
//! - `POST /echo`: the body of the request, after all of it has come.
//! - `POST /late`: reads until the peer closes its sending direction, then tells how much came.
//! - `GET /head`: the head of the request.
//! - anything else: 200 with a text that contains the path.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::proxy_header::{self, Detected};

use crate::Stream;
use crate::connection_log::ConnectionLog;

const LONGEST_HEAD: usize = 64 * 1024;
/// The pattern is written in blocks of this length: whole repetitions.
const BLOCK: usize = 251 * 1024;

struct Request {
    head: String,
    method: String,
    path: String,
    length: usize,
    close: bool,
}

/// Serves one connection until it ends.
pub(crate) fn serve(mut stream: impl Stream, number: usize, log: &ConnectionLog) -> Result<()> {
    let mut read = Vec::new();
    let mut logged = false;
    while let Some(end) = head(&mut stream, &mut read, |bytes| {
        if !logged {
            logged = true;
            log.first_bytes(number, bytes)?;
        }
        Ok(())
    })? {
        let request = parse(&read[..end])?;
        read.drain(..end);
        let body = body(&mut stream, &mut read, &request)?;
        answer(&mut stream, &request, &body)?;
        if request.close {
            break;
        }
    }
    Ok(stream.finish()?)
}

/// Reads a PROXY header, if one comes first, and the head of a request. Returns the length of the
/// head, or none if the peer has closed.
fn head(
    stream: &mut impl Stream,
    read: &mut Vec<u8>,
    mut first: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Option<usize>> {
    loop {
        if let Detected::Present(_, length) = proxy_header::read(read)? {
            first(read)?;
            read.drain(..length);
        }
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            // A version 2 PROXY header also begins with CRLF CRLF, and may be incomplete.
            if proxy_header::read(read)? == Detected::Absent {
                first(read)?;
                return Ok(Some(end + 4));
            }
        }
        ensure!(read.len() < LONGEST_HEAD, "a head of {} bytes", read.len());
        if more(stream, read)? == 0 {
            ensure!(read.is_empty(), "the peer closed within a head");
            return Ok(None);
        }
    }
}

fn parse(head: &[u8]) -> Result<Request> {
    let head = std::str::from_utf8(head).context("not text")?;
    let mut lines = head.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, path, _version] = words[..] else { bail!("not a request: {words:?}") };
    let mut request = Request {
        head: head.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        length: 0,
        close: false,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => request.length = value.trim().parse()?,
            "connection" => request.close = value.trim().eq_ignore_ascii_case("close"),
            "transfer-encoding" => bail!("chunked bodies are not supported"),
            _ => {}
        }
    }
    Ok(request)
}

fn body(stream: &mut impl Stream, read: &mut Vec<u8>, request: &Request) -> Result<Vec<u8>> {
    if request.path == "/late" {
        while more(stream, read)? > 0 {}
        return Ok(std::mem::take(read));
    }
    while read.len() < request.length {
        ensure!(more(stream, read)? > 0, "the peer closed within a body");
    }
    Ok(read.drain(..request.length).collect())
}

fn answer(stream: &mut impl Stream, request: &Request, body: &[u8]) -> Result<()> {
    let text = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/echo") => body.to_vec(),
        ("GET", "/head") => request.head.clone().into_bytes(),
        ("POST", "/late") => format!("{} bytes came\n", body.len()).into_bytes(),
        (_, path) => match path.strip_prefix("/bytes/") {
            Some(count) => return pattern(stream, count.parse()?),
            None => format!("the upstream answers {path}\n").into_bytes(),
        },
    };
    begin(stream, text.len(), &text)
}

/// Sends the head and the first part of the body together, as most servers do.
fn begin(stream: &mut impl Stream, length: usize, body: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    Ok(stream.write_all(&[head.as_bytes(), body].concat())?)
}

fn pattern(stream: &mut impl Stream, count: usize) -> Result<()> {
    let block: Vec<u8> = (0_u8..251).cycle().take(count.min(BLOCK)).collect();
    begin(stream, count, &block)?;
    let mut left = count - block.len();
    while left > 0 {
        let part = &block[..left.min(block.len())];
        stream.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

fn more(stream: &mut impl Read, read: &mut Vec<u8>) -> Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let count = stream.read(&mut chunk)?;
    read.extend_from_slice(&chunk[..count]);
    Ok(count)
}
