//! Tests of the client with which aop tests its own host, against the sites themselves and against
//! a server that resumes every session.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use aop_config::{OnRefusal, Resumption};
use rustls::{
    ServerConfig, ServerConnection,
    client::{ClientSessionStore, ResolvesClientCert},
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, ServerName},
};

use super::{TestSite, pull::site};
use crate::{
    LastSession, PresentedCertificate, ProbeClient, ProbeConnection, Received, Refusal, TlsVersion,
    probe_client::FixedClientCert,
    testing::{Authority, Leaf, OpenServer},
};

fn presented(leaf: &Leaf) -> PresentedCertificate {
    PresentedCertificate::from_der(leaf.chain[0].to_vec(), leaf.key.clone()).unwrap()
}

/// Passes bytes to and fro until neither side has more, or the server's had an effect.
fn talk(probe: &mut ProbeConnection, server: &mut ServerConnection) -> Received {
    loop {
        let outgoing = probe.take_outgoing().unwrap();
        let mut rest = &outgoing[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            // A refusal is an alert in the answer.
            server.process_new_packets().ok();
        }
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).unwrap();
        }
        let received = probe.receive(&answer).unwrap();
        if received != Received::Nothing || (outgoing.is_empty() && answer.is_empty()) {
            return received;
        }
    }
}

/// A handshake of `client` with `server`.
fn handshake(
    client: &ProbeClient,
    server: &Arc<ServerConfig>,
) -> (ProbeConnection, ServerConnection, Received) {
    let mut probe = client.begin(Some("example.com"), [192, 0, 2, 1].into()).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    assert!(probe.is_handshaking());
    assert_eq!((probe.version(), probe.is_resumed()), (None, false));
    let received = talk(&mut probe, &mut server);
    (probe, server, received)
}

#[test]
fn a_probe_presents_its_certificate_in_the_version_that_it_was_given() {
    let files = TestSite::good();
    let (site, edge) = (site(&files.config), files.authority.edge());
    assert_eq!(TlsVersion::BOTH.map(TlsVersion::name), ["TLS 1.2", "TLS 1.3"]);
    for (version, agreed) in [
        (Some(TlsVersion::V12), TlsVersion::V12),
        (Some(TlsVersion::V13), TlsVersion::V13),
        (None, TlsVersion::V13),
    ] {
        let client = ProbeClient::new(Some(&presented(&edge)), version, None).unwrap();
        let tls = site.connection_tls().config;
        let (mut probe, mut server, received) = handshake(&client, &tls);
        assert_eq!(received, Received::Nothing);
        assert!(!probe.is_handshaking() && !probe.is_resumed());
        assert_eq!(probe.version(), Some(agreed));
        assert_eq!(server.server_name(), Some("example.com"));
        assert_eq!(server.peer_certificates(), Some(&edge.chain[..]));
        // Bytes of the application, in both directions.
        probe.write(b"request").unwrap();
        assert_eq!(talk(&mut probe, &mut server), Received::Nothing);
        let mut request = [0; 7];
        server.reader().read_exact(&mut request).unwrap();
        assert_eq!(&request, b"request");
        server.writer().write_all(b"answer").unwrap();
        assert_eq!(talk(&mut probe, &mut server), Received::Data(b"answer".to_vec()));
        probe.close();
        assert_eq!(talk(&mut probe, &mut server), Received::Nothing);
        assert_eq!(server.reader().read(&mut request).unwrap(), 0, "the peer closed the session");
        server.send_close_notify();
        assert_eq!(talk(&mut probe, &mut server), Received::Closed);
    }
}

#[test]
fn a_client_says_whether_it_has_a_certificate() {
    let key = presented(&Authority::new("ca").edge()).certified_key().clone();
    for presented in [None, Some(key)] {
        let client = FixedClientCert(presented.clone());
        assert_eq!(client.has_certs(), presented.is_some());
        let resolved = client.resolve(&[], &[]).map(|key| key.cert.clone());
        assert_eq!(resolved, presented.map(|key| key.cert.clone()));
    }
}

#[test]
fn a_probe_reads_the_alert_of_its_refusal() {
    let files = TestSite::good();
    let tls = site(&files.config).connection_tls().config;
    let stranger = presented(&Authority::new("stranger").edge());
    for (certificate, version, alert) in [
        (None, TlsVersion::V13, "CertificateRequired"),
        (None, TlsVersion::V12, "CertificateRequired"),
        (Some(&stranger), TlsVersion::V13, "UnknownCA"),
        (Some(&stranger), TlsVersion::V12, "UnknownCA"),
    ] {
        let client = ProbeClient::new(certificate, Some(version), None).unwrap();
        let (_, _, received) = handshake(&client, &tls);
        assert_eq!(received, Received::Alert(alert.into()), "{version:?}");
    }
}

#[test]
fn a_probe_says_that_a_server_does_not_speak_tls() {
    let client = ProbeClient::new(None, None, None).unwrap();
    let mut probe = client.begin(Some("example.com"), [192, 0, 2, 1].into()).unwrap();
    assert_eq!(probe.receive(b"").unwrap(), Received::Nothing);
    let received = probe.receive(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
    let Received::Broken(why) = received else { panic!("{received:?}") };
    assert!(why.contains("corrupt message"), "{why}");
    assert!(client.begin(Some("no name"), [192, 0, 2, 1].into()).is_err());
}

#[test]
fn a_handshake_that_its_server_only_begins_is_not_finished() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let client = ProbeClient::new(None, Some(TlsVersion::V12), None).unwrap();
    let mut probe = client.begin(Some("example.com"), [192, 0, 2, 1].into()).unwrap();
    stream.write_all(&probe.take_outgoing().unwrap()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    OpenServer::new("example.com").begin(&mut accepted);
    drop(accepted);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(probe.receive(&answer).unwrap(), Received::Nothing);
    assert_eq!((probe.version(), probe.is_handshaking()), (Some(TlsVersion::V12), true));
}

/// A server that resumes sessions in every version and asks for no certificate.
fn resuming_server() -> Arc<ServerConfig> {
    let Leaf { chain, key } = Authority::new("ca").server(&["example.com"]);
    let key = PrivateKeyDer::try_from(key).unwrap();
    ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
        .into()
}

#[test]
fn the_last_session_is_offered_to_every_server_until_it_is_removed() {
    let server = resuming_server();
    let elsewhere = ServerName::try_from("elsewhere.test").unwrap();
    for version in TlsVersion::BOTH {
        let sessions = Arc::new(LastSession::default());
        let client = ProbeClient::new(None, Some(version), Some(sessions.clone())).unwrap();
        assert!(!sessions.is_some());
        assert!(!handshake(&client, &server).0.is_resumed());
        assert!(sessions.is_some(), "{version:?}");
        assert!(handshake(&client, &server).0.is_resumed(), "{version:?}");
        assert!(sessions.is_some(), "{version:?}");
        // Its server's name does not matter.
        sessions.remove_tls12_session(&elsewhere);
        assert_eq!(sessions.is_some(), version == TlsVersion::V13);
        assert_eq!(sessions.take_tls13_ticket(&elsewhere).is_some(), version == TlsVersion::V13);
        assert!(!sessions.is_some());
        assert!(!handshake(&client, &server).0.is_resumed());
    }
    // Without a store nothing is resumed.
    let client = ProbeClient::new(None, None, None).unwrap();
    for _ in 0..2 {
        assert!(!handshake(&client, &server).0.is_resumed());
    }
}

#[test]
fn a_site_resumes_no_session_of_a_probe_that_was_not_permitted() {
    let mut files = TestSite::good();
    files.config.rules.resumption = Resumption::Verified;
    let site = site(&files.config);
    let sessions = Arc::new(LastSession::default());
    let edge = presented(&files.authority.edge());
    let client = ProbeClient::new(Some(&edge), None, Some(sessions.clone())).unwrap();
    for _ in 0..2 {
        let (probe, _, _) = handshake(&client, &site.connection_tls().config);
        assert!(sessions.is_some() && !probe.is_resumed());
    }
}

#[test]
fn a_certificate_is_presented_with_its_chain_and_a_foreign_key_is_noticed() {
    let mut files = TestSite::good();
    let between = files.authority.intermediate("between");
    let mut edge = between.edge();
    edge.chain.push(between.certificate.clone());
    let (certificate, key) =
        (files.write("edge.pem", &edge.pem()), files.write("edge.key", &edge.key_pem()));
    let read = PresentedCertificate::read(&certificate, &key).unwrap();
    assert!(!read.is_mismatched());
    files.config.on_refusal = OnRefusal::Close;
    let tls = site(&files.config).connection_tls().config;
    let client = ProbeClient::new(Some(&read), None, None).unwrap();
    let (_, server, _) = handshake(&client, &tls);
    assert_eq!(server.peer_certificates(), Some(&edge.chain[..]));
    assert!(site(&files.config).refusal_of(&read).is_none());
    let stranger = presented(&Authority::new("stranger").edge());
    let refused = site(&files.config).refusal_of(&stranger).unwrap();
    assert_eq!(refused.refusal, Refusal::UnknownCa);
    let foreign = files.write("other.key", &between.edge().key_pem());
    assert!(PresentedCertificate::read(&certificate, &foreign).unwrap().is_mismatched());
    let error = PresentedCertificate::read(&certificate, &certificate).unwrap_err().to_string();
    assert!(error.contains("edge.pem: holds no private key"), "{error}");
}
