//! The HTTP of the server: one request and one answer for each connection.

use std::io::{Error, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Fault, ReceivedCall, Shared, locked, routes};
use crate::loopback_server::ServerEnd;

/// The path of Cloudflare's API on its host.
pub(super) const BASE: &str = "/client/v4";
/// Longer than any caller waits.
const NEVER: Duration = Duration::from_secs(120);
const LONGEST: usize = 1024 * 1024;

/// An answer.
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

impl HttpResponse {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let headers = vec!["Content-Type: application/json".to_owned()];
        Self { status, headers, body: body.to_string() }
    }

    /// An error of the API.
    pub(super) fn refusal(status: u16, code: i64, message: &str) -> Self {
        let error = json!({ "code": code, "message": message });
        Self::json(
            status,
            &json!({"success": false, "errors": [error], "messages": [], "result": null}),
        )
    }

    fn page(status: u16) -> Self {
        let headers = vec!["Content-Type: text/html".to_owned()];
        Self { status, headers, body: "<html>error</html>".to_owned() }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, headers, body } = self;
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        head += "Connection: close\r\n";
        for header in headers {
            head += &format!("{header}\r\n");
        }
        format!("{head}\r\n{body}").into_bytes()
    }
}

pub(super) fn speak(mut stream: TcpStream, shared: &Shared, end: &ServerEnd) -> Result<()> {
    let mut call = read(&mut stream)?;
    let fault = {
        let mut faults = locked(&shared.faults);
        let fault = faults.iter_mut().find_map(|it| it.count(&call.method, &call.path));
        faults.retain(|fault| !fault.is_over());
        fault
    };
    let answer = || routes::answer(&call, &mut locked(&shared.state));
    let (response, sent) = match fault {
        None => (Some(answer()), None),
        Some(Fault::StatusBefore(status)) => (Some(HttpResponse::page(status)), None),
        Some(Fault::StatusAfter(status)) => {
            answer();
            (Some(HttpResponse::page(status)), None)
        }
        Some(Fault::RateLimit(seconds)) => {
            let mut response = HttpResponse::refusal(429, 10429, "rate limited");
            response.headers.push(format!("Retry-After: {seconds}"));
            (Some(response), None)
        }
        Some(Fault::Refuse(status, code, text)) => {
            (Some(HttpResponse::refusal(status, code, text)), None)
        }
        Some(Fault::CutBefore) => (None, None),
        Some(Fault::CutAfter) => {
            answer();
            (None, None)
        }
        Some(Fault::CutWithin) => {
            let response = answer();
            let half = response.bytes().len() - response.body.len() / 2;
            (Some(response), Some(half))
        }
        Some(Fault::KillBefore) => {
            shared.kill_caller(end);
            (None, None)
        }
        Some(Fault::KillAfter) => {
            answer();
            shared.kill_caller(end);
            (None, None)
        }
        Some(fault @ (Fault::SilentBefore | Fault::SilentAfter)) => {
            if fault == Fault::SilentAfter {
                answer();
            }
            locked(&shared.calls).push(call);
            end.wait(NEVER, || false);
            return Ok(());
        }
        Some(Fault::Late(time)) => {
            sleep(time);
            (Some(answer()), None)
        }
        Some(Fault::Body(text)) => {
            let headers = vec!["Content-Type: application/json".to_owned()];
            (Some(HttpResponse { status: 200, headers, body: text.to_owned() }), None)
        }
    };
    call.status = response.as_ref().map(|response| response.status);
    // Before the answer: a caller that has it must find its call in the log.
    locked(&shared.calls).push(call);
    if let Some(response) = response {
        let bytes = response.bytes();
        stream.write_all(&bytes[..sent.unwrap_or(bytes.len())])?;
    }
    stream.shutdown(Shutdown::Both)
}

fn read(stream: &mut TcpStream) -> Result<ReceivedCall> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 || head.len() > LONGEST {
            return Err(Error::other("no whole head"));
        }
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default();
    let header = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; usize::min(length, LONGEST)];
    stream.read_exact(&mut body)?;
    let body = (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap_or(Value::Null));
    Ok(ReceivedCall {
        method,
        path: path.strip_prefix(BASE).unwrap_or("/outside").to_owned(),
        authorization: header("authorization"),
        body,
        status: None,
        at: Instant::now(),
    })
}
