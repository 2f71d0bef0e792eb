//! The forwarded visitor: the PROXY headers that an upstream receives, and the effect of those that
//! a sender sends.

use std::net::SocketAddr;

use aop_config::{ClientCertForwarding, OnRefusal, ProxyProtocol};
use aop_tls::testing::{connect, connect_over};
use aop_types::AddressVerdict;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    application::{Application, Frames, whole},
    client::{Client, LONG, edge, until},
};
use crate::{
    proxy::{ParsedProxyHeader, ProxyAddresses, parse},
    tests::rig::{Rig, RigConfig, SITE},
};

/// Answers the next request to the upstream: the addresses in its PROXY header, that header, and
/// the request head behind it.
async fn heard(upstream: &TcpListener) -> (ProxyAddresses, Vec<u8>, String) {
    let (mut stream, _) = timeout(LONG, upstream.accept()).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    loop {
        bytes.push(timeout(LONG, stream.read_u8()).await.unwrap().unwrap());
        if let Ok(ParsedProxyHeader::Complete(length, ends)) = parse(&bytes)
            && bytes[length..].ends_with(b"\r\n\r\n")
        {
            let head = String::from_utf8(bytes.split_off(length)).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            // A connection with a PROXY header carries only one request.
            let mut rest = Vec::new();
            timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
            assert_eq!(rest, b"");
            return (ends.unwrap(), bytes, head);
        }
    }
}

async fn wanting(proxy: ProxyProtocol) -> (Rig, TcpListener) {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    (Rig::with(RigConfig { proxy, ..RigConfig::upstream(&url) }).await, upstream)
}

#[tokio::test]
async fn each_request_has_its_own_connection_whose_header_names_its_visitor() {
    for proxy in [ProxyProtocol::V1, ProxyProtocol::V2(ClientCertForwarding::Withheld)] {
        let (rig, upstream) = wanting(proxy).await;
        let mut client = Client::http2(&rig).await;
        for visitor in ["203.0.113.7", "2001:db8::7", "2001:db8::7"] {
            let request = client.request("GET", "/").header("cf-connecting-ip", visitor);
            let asking = async {
                let response = client.send(request.body(Frames::default()).unwrap()).await;
                whole(response.unwrap().into_body()).await.unwrap()
            };
            let (_, (ends, header, head)) = tokio::join!(asking, heard(&upstream));
            assert_eq!(ends.source, SocketAddr::new(visitor.parse().unwrap(), 0));
            assert_eq!(ends.destination, rig.address);
            assert!(head.contains(&format!("x-forwarded-for: {visitor}\r\n")), "{head}");
            if proxy != ProxyProtocol::V1 {
                let alpn = b"\x01\x00\x08http/1.1\x02\x00\x0bexample.com";
                assert!(header.windows(alpn.len()).any(|at| at == alpn), "{header:?}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_visitor_the_header_names_the_peer() {
    let (rig, upstream) = wanting(ProxyProtocol::V1).await;
    let mut stream = edge(&rig, &["http/1.1"], SITE).await;
    let own = stream.get_ref().0.local_addr().unwrap();
    for address in ["", "CF-Connecting-IP: nobody\r\n"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\n{address}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let ((ends, ..), _) = tokio::join!(heard(&upstream), until(&mut stream, "ok"));
        assert_eq!(ends, ProxyAddresses { source: own, destination: rig.address });
    }
}

#[tokio::test]
async fn an_unauthenticated_peer_is_itself_the_source_unless_its_address_is_admitted() {
    let (rig, upstream) = wanting(ProxyProtocol::V1).await;
    rig.service.reload(rig.changed(|site| site.on_refusal = OnRefusal::Observe), LONG);
    for (verdict, named) in [(AddressVerdict::Admitted, true), (AddressVerdict::Observed, false)] {
        rig.gate.set(verdict);
        let mut stream = connect(&rig.client(None), rig.address, SITE).await.unwrap();
        let own = stream.get_ref().0.local_addr().unwrap();
        let request =
            format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nCF-Connecting-IP: 203.0.113.7\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let ((ends, ..), _) = tokio::join!(heard(&upstream), until(&mut stream, "ok"));
        let visitor = SocketAddr::new("203.0.113.7".parse().unwrap(), 0);
        assert_eq!(ends.source, if named { visitor } else { own });
    }
}

#[tokio::test]
async fn a_visitor_behind_a_sender_is_forwarded_unless_the_edge_names_one() {
    let application = Application::http1().await;
    let proxy_from = vec!["127.0.0.1/32".parse().unwrap()];
    let rig = Rig::with(RigConfig { proxy_from, ..RigConfig::upstream(&application.url()) }).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 443\r\n").await.unwrap();
    let mut peer = connect_over(&rig.edge(), stream, SITE).await.unwrap();
    for (line, visitor) in
        [("", "2001:db8::9"), ("CF-Connecting-IP: 203.0.113.7\r\n", "203.0.113.7")]
    {
        let request = format!("GET /x HTTP/1.1\r\nHost: {SITE}\r\n{line}\r\n");
        peer.write_all(request.as_bytes()).await.unwrap();
        until(&mut peer, "answers /x").await;
        assert_eq!(application.asked().pop().unwrap().values("x-forwarded-for"), [visitor]);
    }
}

#[tokio::test]
async fn a_reload_that_enables_headers_applies_to_the_next_request_of_an_open_connection() {
    let (rig, upstream) = wanting(ProxyProtocol::Off).await;
    let mut peer = edge(&rig, &["http/1.1"], SITE).await;
    let own = peer.get_ref().0.local_addr().unwrap();
    let wanted = ProxyProtocol::V2(ClientCertForwarding::Shown);
    rig.service.reload(rig.changed(|site| site.proxy = wanted), LONG);
    peer.write_all(format!("GET / HTTP/1.1\r\nHost: {SITE}\r\n\r\n").as_bytes()).await.unwrap();
    let ((ends, header, _), _) = tokio::join!(heard(&upstream), until(&mut peer, "ok"));
    assert_eq!(ends.source, own);
    // The header has the certificate, although the peer presented it before the reload.
    let certificate = (0..header.len() - 3).find(|at| {
        let length = header.len() - at - 3;
        header[*at..at + 3] == [&[0x28], &(length as u16).to_be_bytes()[..]].concat()
    });
    assert!(certificate.is_some(), "{header:x?}");
}
