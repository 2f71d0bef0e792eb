//! The process, over a channel and against a server that sends exactly these bytes.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use zeroize::Zeroizing;

use super::*;
use crate::{CertificateAndKey, CertificateLevel};

/// The server's way with one connection.
enum Response {
    /// Sends this status, these header lines and this body.
    Send(&'static str, &'static str, &'static str),
    /// Closes the connection after the request.
    Cut,
    /// Closes it in the middle of the answer.
    Half,
}

fn zone() -> crate::ZoneId {
    "z".parse().expect("an id")
}

fn upload() -> Call {
    let pair = CertificateAndKey {
        certificate: "CERT".to_owned(),
        private_key: Zeroizing::new("KEY\n".to_owned()).into(),
    };
    Call::Upload { zone: zone(), level: CertificateLevel::Host, pair }
}

/// Makes each call against a server with these responses. Returns the answers and the requests.
fn exchange(
    responses: Vec<Response>,
    calls: &[Call],
) -> (Vec<Result<Answer, ApiError>>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let api = format!("http://{}/v4", listener.local_addr().expect("an address"));
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    thread::scope(|scope| {
        let process = scope.spawn(move || run(&theirs));
        let server = scope.spawn(move || -> Vec<String> {
            responses.into_iter().map(|response| serve(&listener, &response)).collect()
        });
        let token = "sesame".parse().expect("a token");
        let open = ask(&ours, &ProcessRequest::Open { api, token }).expect("an answer");
        assert!(matches!(open, ProcessReply::Opened), "{open:?}");
        let answers = calls.iter().map(|call| {
            let reply = ask(&ours, &ProcessRequest::Call(call.clone())).expect("an answer");
            let ProcessReply::Answer(answer) = reply else { panic!("{reply:?}") };
            answer
        });
        let answers = answers.collect();
        drop(ours);
        process.join().expect("no panic").expect("the process ends when its channel closes");
        (answers, server.join().expect("no panic"))
    })
}

fn serve(listener: &TcpListener, response: &Response) -> String {
    let (mut stream, _) = listener.accept().expect("accepted");
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.trim().parse().expect("a length"))
    };
    let mut bytes = [0; 4096];
    while !whole(&request) {
        match stream.read(&mut bytes).expect("read") {
            0 => break,
            got => request.extend(&bytes[..got]),
        }
    }
    let (status, headers, body, sent) = match response {
        Response::Cut => return String::from_utf8(request).expect("text"),
        Response::Send(status, headers, body) => (*status, *headers, *body, body.len()),
        Response::Half => ("200 OK", "", "{\"success\": true, \"result\": {}}", 9),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body.as_bytes()[..sent]].concat()).expect("written");
    String::from_utf8(request).expect("text")
}

#[test]
fn a_call_goes_out_with_the_token_and_its_answer_comes_back() {
    let read = Call::ZoneSwitch { zone: zone() };
    let delete = Call::Delete {
        zone: zone(),
        level: CertificateLevel::Zone,
        id: "c".parse().expect("an id"),
    };
    let on = "{\"success\": true, \"errors\": [], \"result\": {\"enabled\": true}}";
    let uploaded = "{\"success\": true, \"result\": {\"id\": \"c\", \"status\": \"initializing\"}}";
    let (answers, requests) = exchange(
        vec![
            Response::Send("200 OK", "Content-Type: application/json\r\n", on),
            Response::Send("200 OK", "", uploaded),
            Response::Send("200 OK", "", "{\"success\": true, \"result\": {\"id\": \"c\"}}"),
        ],
        &[read, upload(), delete],
    );
    assert_eq!(answers[0], Ok(Answer::Switch(true)));
    assert!(matches!(&answers[1], Ok(Answer::Certificate(it)) if it.id.as_str() == "c"));
    assert_eq!(answers[2], Ok(Answer::Done));
    let lines: Vec<&str> = requests.iter().filter_map(|request| request.lines().next()).collect();
    let aop = "/v4/zones/z/origin_tls_client_auth";
    assert_eq!(
        lines,
        [
            format!("GET {aop}/settings HTTP/1.1"),
            format!("POST {aop}/hostnames/certificates HTTP/1.1"),
            format!("DELETE {aop}/c HTTP/1.1"),
        ]
    );
    for request in &requests {
        let head = request.to_lowercase();
        assert!(head.contains("authorization: bearer sesame\r\n"), "{request}");
    }
    assert!(requests[1].to_lowercase().contains("content-type: application/json\r\n"));
    let body = requests[1].split_once("\r\n\r\n").expect("a body").1;
    assert_eq!(body, r#"{"certificate":"CERT","private_key":"KEY\n"}"#);
    assert!(!requests[2].to_lowercase().contains("content-length: 2"), "{}", requests[2]);
}

#[test]
fn a_cut_connection_leaves_a_change_unclear_and_a_redirect_is_not_followed() {
    let read = || Call::ZoneSwitch { zone: zone() };
    let moved = || Response::Send("302 Found", "Location: http://127.0.0.1:1/\r\n", "");
    let (answers, requests) = exchange(
        vec![Response::Cut, Response::Cut, Response::Half, Response::Half, moved(), moved()],
        &[read(), upload(), read(), upload(), read(), upload()],
    );
    assert_eq!(requests.len(), 6, "a lost call was repeated");
    for (at, answer) in answers.iter().enumerate() {
        let error = answer.as_ref().expect_err("no answer");
        let unclear = matches!(error, ApiError::Unclear { .. });
        assert_eq!(unclear, at % 2 == 1, "{at}: {error}");
        assert!(!error.to_string().contains("sesame"), "{error}");
    }
}

#[test]
fn a_host_that_refuses_connections_has_received_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("it").port();
    let token = "sesame".parse().expect("a token");
    let api = format!("http://127.0.0.1:{port}").parse().expect("a URL");
    let transport = Transport::new(api, &token).expect("a transport");
    let error = transport.call(&upload()).expect_err("nobody listens");
    assert!(matches!(error, ApiError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
}

#[test]
fn a_message_out_of_order_is_refused() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    thread::scope(|scope| {
        scope.spawn(move || run(&theirs).expect("it ends with its channel"));
        let asked = |request| {
            let reply = ask(&ours, &request).expect("an answer");
            let ProcessReply::Failed(why) = reply else { panic!("{reply:?}") };
            why
        };
        assert_eq!(asked(ProcessRequest::Call(Call::VerifyToken)), "no token");
        let open = |api: &str| ProcessRequest::Open {
            api: api.to_owned(),
            token: "sesame".parse().expect("a token"),
        };
        assert!(asked(open("http://api.example.net")).contains("Use https://"));
        ask(&ours, &open("https://127.0.0.1:1")).expect("an answer");
        assert_eq!(asked(open("https://127.0.0.1:1")), "a second token");
        drop(ours);
    });
}
