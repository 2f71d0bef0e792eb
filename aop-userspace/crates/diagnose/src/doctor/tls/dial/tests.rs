use std::{net::TcpListener, thread};

use aop_tls::testing::OpenServer;

use super::*;

#[test]
fn splitting_records_loses_no_byte() {
    let record = [&[22, 3, 1, 0, 5][..], b"hello"].concat();
    let cut =
        [&[22, 3, 1, 0, 2, b'h', b'e'][..], &[22, 3, 1, 0, 2, b'l', b'l'], &[22, 3, 1, 0, 1, b'o']];
    assert_eq!(pieces(&record, 2), cut);
}

/// A server without client authentication, which sends `says` after every handshake.
fn open_to_all(says: &'static [u8]) -> Target {
    let server = OpenServer::new("a.test");
    served(move |stream| {
        let mut stream = server.over(stream);
        // Completes the handshake even if `says` is empty.
        stream.write_all(says).ok();
        stream.flush().ok();
        stream.read_exact(&mut [0; 1]).ok();
    })
}

/// A listener that hands each connection to `serve`, one after the other.
fn served(serve: impl Fn(TcpStream) + Send + 'static) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let to = listener.local_addr().expect("its address");
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    Target { from: to.ip(), to, proxied: false }
}

fn attempted(target: Target, version: TlsVersion, records: Option<usize>) -> AttemptAnswer {
    let client = ProbeClient::new(None, Some(version), None).expect("a client");
    attempt(target, &Attempt { client, name: Some("a.test"), records, request: None }).answer
}

#[test]
fn a_server_without_client_authentication_is_found_even_if_it_is_silent() {
    for version in TlsVersion::BOTH {
        let silent = attempted(open_to_all(b""), version, None);
        assert!(matches!(silent, AttemptAnswer::LetIn(_)), "{version:?}: {silent:?}");
        let speaks = attempted(open_to_all(b"HTTP/1.1 200 OK\r\n\r\n"), version, Some(7));
        assert_eq!(speaks, AttemptAnswer::LetIn("HTTP/1.1 200 OK".into()), "{version:?}");
        let explains = attempted(open_to_all(b"HTTP/1.1 403 Forbidden\r\n\r\n"), version, None);
        assert!(matches!(explains, AttemptAnswer::Refused(_)), "{version:?}: {explains:?}");
    }
}

#[test]
fn a_server_that_stops_during_the_handshake_has_not_let_the_peer_in() {
    let server = OpenServer::new("a.test");
    let target = served(move |mut stream| {
        server.begin(&mut stream);
        thread::spawn(|| {
            thread::sleep(2 * TIMEOUT);
            drop(stream);
        });
    });
    let client = ProbeClient::new(None, Some(TlsVersion::V13), None).expect("a client");
    for request in [None, Some(&b"GET / HTTP/1.1\r\n\r\n"[..])] {
        let how = Attempt { client: client.clone(), name: Some("a.test"), records: None, request };
        let answer = attempt(target, &how).answer;
        assert!(matches!(answer, AttemptAnswer::Unreachable(_)), "{request:?}: {answer:?}");
    }
}

#[test]
fn a_silent_or_closing_server_is_not_taken_for_a_refusal_and_does_not_block() {
    let begun = Instant::now();
    let silent = attempted(
        served(|mut stream| {
            drop(stream.read(&mut [0; 1 << 16]).map(|_| thread::sleep(2 * TIMEOUT)))
        }),
        TlsVersion::V13,
        None,
    );
    assert_eq!(silent, AttemptAnswer::Unreachable("no answer within 3 s".into()));
    assert!(begun.elapsed() < TIMEOUT + Duration::from_secs(2));
    let shut = attempted(served(drop), TlsVersion::V13, None);
    assert!(matches!(shut, AttemptAnswer::ClosedBeforeTls), "{shut:?}");
    assert_eq!(
        in_clear(served(drop), b"GET / HTTP/1.1\r\n\r\n"),
        AttemptAnswer::Refused("closed".into())
    );
    let open = served(|mut stream| drop(stream.write_all(b"HTTP/1.1 200 OK\r\n")));
    assert_eq!(
        in_clear(open, b"GET / HTTP/1.1\r\n\r\n"),
        AttemptAnswer::LetIn("HTTP/1.1 200 OK".into())
    );
}
