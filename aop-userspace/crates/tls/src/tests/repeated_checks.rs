//! Tests of the checks between a handshake and its permit, on handshakes that `accept` never
//! passes on, and on resumed ones.

use std::{net::SocketAddr, sync::Arc};

use aop_config::{ClientCa, OnRefusal, Resumption, SiteConfig};
use rustls::{
    ClientConfig, SupportedProtocolVersion,
    client::Resumption as Remembering,
    version::{TLS12, TLS13},
};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::{TlsAcceptor, client::TlsStream};

use super::{
    TestSite,
    pull::{accepted, connection, host, peer, permitted, site, sites},
};
use crate::{
    CertificateFrom, LastSession, OriginPull, PeerIdentity, PeerStream, Permit, Refusal,
    RefusedConnection, Site, Sites, authorize,
    permit::FinishedHandshake,
    sessions::ConnectionSessions,
    testing::{Authority, client, connect_over},
};

/// A site that resumes sessions.
fn resuming() -> TestSite {
    let mut files = TestSite::good();
    files.config.rules.resumption = Resumption::Verified;
    files
}

/// An edge that offers the last session that it received to every server.
fn remembering(files: &TestSite, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut config = client(&files.authority, Some(&files.authority.edge()), &[version]);
    config.resumption = Remembering::store(Arc::new(LastSession::default()));
    Arc::new(config)
}

/// Ends a relayed connection; the peer reads all of it, so also the new session.
async fn end(relayed: impl Sized, mut peer: TlsStream<TcpStream>) {
    drop(relayed);
    // A connection that is just closed is an error of TLS.
    peer.read_to_end(&mut Vec::new()).await.ok();
}

/// A pull that is permitted. Returns the handshake in which its certificate was presented.
async fn relay(sites: &Sites, config: &Arc<ClientConfig>) -> CertificateFrom {
    let (permit, peer) = permitted(sites, config, "example.com").await;
    let from = permit.handshake().certificate_from;
    let (stream, warrant) = permit.into_parts();
    assert_eq!(warrant.handshake(&stream).certificate_from, from);
    end(stream, peer).await;
    from
}

#[tokio::test]
async fn where_sessions_are_resumed_the_certificate_is_that_of_an_earlier_handshake() {
    let files = resuming();
    let (sites, config) = (sites(&files), remembering(&files, &TLS13));
    assert_eq!(relay(&sites, &config).await, CertificateFrom::ThisHandshake);
    for _ in 0..3 {
        assert_eq!(relay(&sites, &config).await, CertificateFrom::EarlierHandshake);
    }
    let (pull, _) = accepted(&sites, &config, "example.com").await;
    assert!(pull.is_resumed());
    // TLS 1.2 is not resumed, and by default nothing is.
    let old = remembering(&files, &TLS12);
    let by_default = TestSite::good();
    let config = remembering(&by_default, &TLS13);
    for _ in 0..2 {
        assert_eq!(relay(&sites, &old).await, CertificateFrom::ThisHandshake);
        let relayed = relay(&super::pull::sites(&by_default), &config).await;
        assert_eq!(relayed, CertificateFrom::ThisHandshake);
    }
}

#[tokio::test]
async fn a_session_of_a_pull_that_was_never_permitted_is_not_resumed() {
    let files = resuming();
    let (sites, config) = (sites(&files), remembering(&files, &TLS13));
    let (pull, peer) = accepted(&sites, &config, "example.com").await;
    end(pull, peer).await;
    assert_eq!(relay(&sites, &config).await, CertificateFrom::ThisHandshake);
}

/// The end of a site after a handshake, without the checks of `accept`.
struct Raw {
    stream: PeerStream,
    address: SocketAddr,
    sessions: Option<Arc<ConnectionSessions>>,
    _peer: TlsStream<TcpStream>,
}

impl Raw {
    /// A handshake with `site` for the name `example.com`.
    async fn with(site: &Site, config: &Arc<ClientConfig>) -> Self {
        let tls = site.connection_tls();
        let (peer, stream, address) = connection().await;
        let acceptor = TlsAcceptor::from(tls.config);
        let connected = connect_over(config, peer, "example.com");
        let (stream, peer) = tokio::join!(acceptor.accept(stream), connected);
        let (stream, _peer) = (Box::new(stream.unwrap()), peer.unwrap());
        Self { stream, address, sessions: tls.sessions, _peer }
    }

    fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Asks for the permit of a pull for `name` from `site`.
    fn claims(self, site: &Arc<Site>, name: &str) -> Result<Permit, RefusedConnection> {
        let Self { stream, address, sessions, _peer } = self;
        let finished =
            FinishedHandshake { stream, site: site.clone(), host: host(name), peer: address };
        let identity = PeerIdentity::read(&Authority::new("ca").edge().chain[0]).unwrap();
        authorize(OriginPull::new(finished, identity, sessions))
    }
}

/// The refusal of a claim, and its details.
fn said(claimed: Result<Permit, RefusedConnection>) -> (Refusal, String) {
    let Err(refused) = claimed else { panic!("permitted") };
    assert!(refused.site.is_some());
    (refused.refusal, refused.detail)
}

#[tokio::test]
async fn a_pull_for_another_name_than_that_of_its_handshake_is_not_permitted() {
    let files = TestSite::good();
    let elsewhere =
        SiteConfig { hosts: vec!["example.org".parse().unwrap()], ..files.config.clone() };
    let (site, elsewhere) = (site(&files.config), super::pull::site(&elsewhere));
    let peer = peer(&files, &files.authority.edge());
    assert!(Raw::with(&site, &peer).await.claims(&site, "example.com").is_ok());
    for (claimed, name) in [
        // The site serves it, but the peer did not ask for it.
        (&site, "www.example.com"),
        // The peer asked for it, but the site does not serve it.
        (&elsewhere, "example.com"),
        (&elsewhere, "example.org"),
    ] {
        let (refusal, detail) = said(Raw::with(&site, &peer).await.claims(claimed, name));
        assert_eq!(refusal, Refusal::UnknownName);
        assert!(detail.contains("another name"), "{detail}");
    }
}

#[tokio::test]
async fn a_handshake_without_a_certificate_is_not_permitted() {
    let mut files = TestSite::good();
    files.config.on_refusal = OnRefusal::Observe;
    let site = site(&files.config);
    let nobody = Arc::new(client(&files.authority, None, &[&TLS13]));
    let (refusal, detail) = said(Raw::with(&site, &nobody).await.claims(&site, "example.com"));
    assert_eq!(refusal, Refusal::CertificateRequired);
    assert!(detail.contains("no certificate"), "{detail}");
}

#[tokio::test]
async fn a_resumed_session_is_permitted_only_where_it_may_be_and_after_a_new_verification() {
    let files = resuming();
    let (sites, config) = (sites(&files), remembering(&files, &TLS13));
    let site = sites.find(&host("example.com")).unwrap();
    relay(&sites, &config).await;
    let resumed = Raw::with(site, &config).await;
    assert!(resumed.is_resumed());
    assert!(resumed.claims(site, "example.com").is_ok());
    // A pull that may not resume.
    relay(&sites, &config).await;
    let resumed = Raw { sessions: None, ..Raw::with(site, &config).await };
    assert!(resumed.is_resumed());
    let (refusal, detail) = said(resumed.claims(site, "example.com"));
    assert_eq!(refusal, Refusal::Protocol);
    assert!(detail.contains("not a full handshake"), "{detail}");
    // The site no longer accepts the certificate.
    relay(&sites, &config).await;
    let mut changed = files.config.clone();
    let other = files.write("other.pem", &Authority::new("other").pem());
    changed.client_ca = vec![ClientCa::File(other)];
    let resumed = Raw::with(site, &config).await;
    assert!(resumed.is_resumed());
    let (refusal, _) = said(resumed.claims(&super::pull::site(&changed), "example.com"));
    assert_eq!(refusal, Refusal::UnknownCa);
}
