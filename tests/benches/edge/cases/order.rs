//! Exchanges in which the order counts: each end waits for what the other has received. A proxy
//! that holds back a byte makes them fail.

use super::{Case, ok, request, sized};
use crate::script::Step;
use crate::visitor::TUNNEL;

pub(super) fn all() -> Vec<Case> {
    vec![
        early_hints().over_http1_alone(),
        processing().over_http1_alone(),
        expectation_granted().over_http1_alone(),
        expectation_refused(),
        early_refusal("413 before a body of 60 KB", 60_000),
        early_refusal("413 before a body of 30 MB", 30_000_000),
        early_answer(),
        events(),
        slow_upload(),
        both_at_once(),
        websocket().over_http1_alone(),
        websocket_refused(),
    ]
}

fn send(text: impl Into<Vec<u8>>) -> Step {
    Step::Send(text.into())
}

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";

/// The hints arrive before the response exists.
fn early_hints() -> Case {
    let answer = [Step::ReadBody, send(HINTS), Step::AwaitHeads(1), send(ok())];
    Case::steps("103 ahead of the response", [send(request("GET", "/", ""))], answer)
}

fn processing() -> Case {
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let answer = [Step::ReadBody, send(processing), send(processing), send(HINTS), send(ok())];
    Case::steps("three interim responses", [send(request("GET", "/", ""))], answer)
}

const EXPECTING: &str = "Expect: 100-continue\r\nContent-Length: 5\r\n";

fn expectation_granted() -> Case {
    let ask = [send(request("POST", "/", EXPECTING)), Step::AwaitHeads(1), send("hello")];
    let answer = [send("HTTP/1.1 100 Continue\r\n\r\n"), Step::ReadBody, send(ok())];
    Case::steps("100 before the body", ask, answer)
}

fn expectation_refused() -> Case {
    let answer =
        [send(sized("417 Expectation Failed", "Connection: close\r\n", "no")), Step::Close];
    Case::steps("417 in place of 100", [send(request("POST", "/", EXPECTING))], answer)
}

/// The application refuses without reading the body, and reads the rest only so that its answer is
/// not lost with a reset.
fn early_refusal(name: &'static str, length: usize) -> Case {
    let head = request("POST", "/", &format!("Content-Length: {length}\r\n"));
    let refusal = sized("413 Content Too Large", "Connection: close\r\n", "too large");
    let answer = [send(refusal), Step::AwaitHeads(1), Step::ReadBody, Step::Close];
    Case::steps(name, [send(head), Step::Pattern(length)], answer).with_any_request_body()
}

/// The response begins while the visitor has not sent its body yet.
fn early_answer() -> Case {
    let head = request("POST", "/", "Content-Length: 10\r\n");
    let ask = [send(head), Step::AwaitHeads(1), send("01234"), Step::AwaitRead(5), send("56789")];
    let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    let answer = [send(begin), Step::ReadSome(5), Step::ReadBody, send("3\r\ntwo\r\n0\r\n\r\n")];
    Case::steps("a response that begins before the body", ask, answer)
}

/// Server-sent events: each is received before the next exists.
fn events() -> Case {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let mut answer = vec![Step::ReadBody, send(head), Step::AwaitHeads(1)];
    for number in 1..=20 {
        answer.push(send("a\r\ndata: go\n\n\r\n"));
        answer.push(Step::AwaitReceived(number * 10));
    }
    answer.push(send("0\r\n\r\n"));
    Case::steps("20 events, each before the next", [send(request("GET", "/events", ""))], answer)
}

/// Each chunk reaches the application before the next exists.
fn slow_upload() -> Case {
    let mut ask = vec![send(request("POST", "/", "Transfer-Encoding: chunked\r\n"))];
    for number in 1..=20 {
        ask.push(send("5\r\nhello\r\n"));
        ask.push(Step::AwaitRead(number * 5));
    }
    ask.push(send("0\r\n\r\n"));
    let answer = [Step::ReadBody, send(ok())];
    Case::steps("20 chunks up, each before the next", ask, answer)
}

/// Both directions in turn within one exchange.
fn both_at_once() -> Case {
    let mut ask = vec![send(request("POST", "/", "Transfer-Encoding: chunked\r\n"))];
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut answer = vec![send(head)];
    for number in 1..=10 {
        ask.extend([send("5\r\nhello\r\n"), Step::AwaitReceived(number * 3)]);
        answer.extend([Step::ReadSome(number * 5), send("3\r\nyes\r\n")]);
    }
    ask.push(send("0\r\n\r\n"));
    answer.extend([Step::ReadBody, send("0\r\n\r\n")]);
    Case::steps("both directions in turn", ask, answer)
}

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A tunnel that echoes. pingora makes tunnels over HTTP/1.1 alone.
fn websocket() -> Case {
    let half = usize::try_from(TUNNEL / 2).unwrap_or_default();
    let ask = [
        send(request("GET", "/socket", HANDSHAKE)),
        Step::AwaitHeads(1),
        Step::Pattern(half),
        Step::AwaitReceived(TUNNEL / 2),
        Step::Pattern(half),
    ];
    let accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    Case::steps("a WebSocket that echoes", ask, [send(accept), Step::Echo])
}

fn websocket_refused() -> Case {
    let answer = sized("403 Forbidden", "", "no sockets here");
    Case::plain("a WebSocket that is refused", request("GET", "/socket", HANDSHAKE), answer)
}
