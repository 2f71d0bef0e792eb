//! Tests of connections that are refused before or in the handshake, and of the answers that their
//! peers read.

use std::sync::Arc;

use aop_config::OnRefusal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    TestSite,
    pull::{accepted, closing, connection, deadline, peer, permitted, refused, sites},
};
use crate::{
    PeerProtocol, ProbeClient, Refusal, accept, lingering_close,
    protocol_sniff::HTTP_RESPONSE,
    testing::{Authority, BOTH, Leaf, client, client_hello},
};

/// A fatal alert before the version is agreed on.
fn alert(description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, description]
}

/// The refusal of a peer that sends `bytes` and no more, its details, and the answer to it.
async fn answer_to(bytes: &[u8]) -> (Refusal, String, Vec<u8>) {
    let sites = sites(&TestSite::good());
    let (mut peer, stream, address) = connection().await;
    peer.write_all(bytes).await.unwrap();
    peer.shutdown().await.unwrap();
    let Err(refused) = accept(stream, address, &sites, deadline()).await else {
        panic!("{bytes:?} was accepted")
    };
    assert!(refused.site.is_none());
    (refused.refusal, refused.detail.clone(), closing(refused, peer).await)
}

#[tokio::test]
async fn a_connection_that_is_not_tls_is_refused_by_its_protocol_and_only_http_gets_an_answer() {
    let none: &[u8] = b"";
    for (bytes, refusal, answer) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], Refusal::NotTls, HTTP_RESPONSE),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::NotTls, HTTP_RESPONSE),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Refusal::ProxyHeader, none),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Refusal::ProxyHeader, none),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Refusal::BadHello, none),
        (b"GETS / HTTP/1.1\r\n\r\n", Refusal::BadHello, none),
        (b"GE", Refusal::BadHello, none),
        (b"", Refusal::PeerGone, none),
    ] {
        let (said, _, read) = answer_to(bytes).await;
        assert_eq!((said, &read[..]), (refusal, answer), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_record_that_holds_no_client_hello_is_refused_as_a_bad_one() {
    let (refusal, detail, _) = answer_to(&[22, 3, 1, 0, 4, 99, 0, 0, 0]).await;
    assert_eq!(refusal, Refusal::BadHello, "{detail}");
    // A peer that closes in the middle of its ClientHello has sent nothing that is wrong.
    let hello = client_hello(&peer(&TestSite::good(), &Leaf::self_signed()), "example.com");
    assert_eq!(answer_to(&hello[..hello.len() / 2]).await.0, Refusal::PeerGone);
}

#[tokio::test]
async fn a_missing_and_an_unknown_server_name_each_get_their_alert() {
    let peer = peer(&TestSite::good(), &Leaf::self_signed());
    let unknown = client_hello(&peer, "example.org");
    let said = (Refusal::UnknownName, "example.org".to_owned(), alert(112));
    assert_eq!(answer_to(&unknown).await, said);
    let client = ProbeClient::new(None, None, None).unwrap();
    let mut nameless = client.begin(None, "192.0.2.1".parse().unwrap()).unwrap();
    let said = (Refusal::NoName, String::new(), alert(109));
    assert_eq!(answer_to(&nameless.take_outgoing().unwrap()).await, said);
}

#[tokio::test]
async fn a_peer_that_sends_nothing_is_refused_at_the_deadline() {
    let (_peer, stream, address) = connection().await;
    let sites = sites(&TestSite::good());
    let Err(refused) = accept(stream, address, &sites, Instant::now()).await else { panic!() };
    assert_eq!(refused.refusal, Refusal::Deadline);
}

#[tokio::test]
async fn a_refused_handshake_names_its_site_and_its_reason() {
    let files = TestSite::good();
    let sites = sites(&files);
    accepted(&sites, &peer(&files, &files.authority.edge()), "www.example.com").await;
    for version in BOTH {
        for (leaf, refusal) in [
            (None, Refusal::CertificateRequired),
            (Some(Authority::new("stranger").edge()), Refusal::UnknownCa),
            (Some(files.authority.version_1()), Refusal::CertificateVersion),
            (Some(Leaf::self_signed()), Refusal::CaAsLeaf),
        ] {
            let peer = Arc::new(client(&files.authority, leaf.as_ref(), &[version]));
            let mut refused = refused(&sites, &peer, "example.com").await;
            assert_eq!(refused.refusal, refusal, "{version:?}");
            assert!(refused.site.as_ref().is_some_and(|site| &**site.name() == "example.com"));
            assert!(!refused.detail.is_empty());
            assert!(refused.take_session().is_none(), "only a site that explains has a session");
        }
    }
}

#[tokio::test]
async fn a_site_that_explains_finishes_the_handshake_of_a_peer_that_it_refuses() {
    let mut files = TestSite::good();
    files.config.on_refusal = OnRefusal::Explain;
    files.config.upstream = "http://127.0.0.1:1".parse().unwrap();
    let sites = sites(&files);
    for version in BOTH {
        let peer = |leaf: Option<&Leaf>| client(&files.authority, leaf, &[version]);
        let edge = files.authority.edge();
        accepted(&sites, &Arc::new(peer(Some(&edge))), "example.com").await;
        let stranger = Authority::new("stranger").edge();
        for (leaf, refusal) in
            [(Some(&stranger), Refusal::UnknownCa), (None, Refusal::CertificateRequired)]
        {
            for (protocols, protocol) in
                [(vec![b"h2".to_vec()], PeerProtocol::Http2), (vec![], PeerProtocol::Http1)]
            {
                let mut peer = peer(leaf);
                peer.alpn_protocols = protocols;
                let mut refused = refused(&sites, &Arc::new(peer), "example.com").await;
                assert_eq!(refused.refusal, refusal, "{version:?}");
                assert!(refused.site.is_some());
                assert_eq!(refused.take_session().map(|(_, spoken)| spoken), Some(protocol));
                assert!(refused.take_session().is_none(), "there is one session");
            }
        }
        // A peer that does not hold the key of its certificate gets no explanation.
        let stolen = Leaf { key: stranger.key.clone(), ..edge };
        let mut refused = refused(&sites, &Arc::new(peer(Some(&stolen))), "example.com").await;
        assert_eq!(refused.refusal, Refusal::BadCertificate, "{version:?}");
        assert!(refused.take_session().is_none());
    }
}

#[tokio::test]
async fn a_session_takes_64_kib_in_frames_of_http_2_at_once() {
    let files = TestSite::good();
    let peer = peer(&files, &files.authority.edge());
    let (permit, _peer) = permitted(&sites(&files), &peer, "example.com").await;
    let (mut stream, _) = permit.into_parts();
    let frames = [0; 4 * (9 + 16 * 1024)];
    let taken = std::io::Write::write(&mut stream.get_mut().1.writer(), &frames).unwrap();
    assert_eq!(taken, frames.len());
}

/// Closes a connection while its peer sends `length` bytes and then reads to the end.
async fn close_while_sending(length: usize) -> std::io::Result<()> {
    let (mut peer, mut stream, _) = connection().await;
    let bytes = vec![0; length];
    let closed = async {
        stream.write_all(b"the reason").await?;
        // The first bytes are there and unread, as those of a request.
        stream.peek(&mut [0]).await?;
        lingering_close(stream).await;
        std::io::Result::Ok(())
    };
    let sent = async move {
        peer.write_all(&bytes).await?;
        reads(peer, b"the reason").await
    };
    let (closed, sent) = tokio::join!(closed, sent);
    closed.and(sent)
}

async fn reads(mut peer: TcpStream, expected: &[u8]) -> std::io::Result<()> {
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await?;
    assert_eq!(read, expected);
    // The other end reads on. After a RST this would fail.
    for _ in 0..10 {
        yield_now().await;
        peer.write_all(b"more").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_peer_that_is_still_sending_can_read_the_reason() {
    // A closed socket with unread bytes would send a RST, and the peer would lose the reason.
    for length in [1, 4096, 200 * 1024] {
        close_while_sending(length).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_peer_that_never_stops_sending_is_cut_off() {
    let (mut peer, stream, _) = connection().await;
    let endless = async {
        let bytes = [0; 4096];
        while peer.write_all(&bytes).await.is_ok() {}
    };
    let both = async { tokio::join!(lingering_close(stream), endless) };
    timeout(std::time::Duration::from_secs(60), both).await.unwrap();
}
