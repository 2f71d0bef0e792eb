//! Tests of a site that observes: it lets every peer in, and believes none that enforcing would
//! refuse.

use std::sync::Arc;

use aop_config::OnRefusal;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{
    TestSite,
    pull::{accepted, closing, host, peer, pull, site, sites},
};
use crate::{
    AcceptedPull, Authentication, Refusal, UnauthenticatedPull, permit_unauthenticated,
    testing::{Authority, BOTH, Leaf, client},
};

fn observing() -> TestSite {
    let mut files = TestSite::good();
    files.config.on_refusal = OnRefusal::Observe;
    files
}

/// The pull of a peer that is let in unauthenticated, and the peer's end.
async fn let_in(
    files: &TestSite,
    leaf: Option<&Leaf>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (UnauthenticatedPull, TlsStream<TcpStream>) {
    let config = Arc::new(client(&files.authority, leaf, versions));
    let (accepted, peer) = pull(&sites(files), &config, "www.example.com").await;
    let Ok(AcceptedPull::Unauthenticated(pull)) = accepted else { panic!("not let in") };
    (*pull, peer.unwrap())
}

#[tokio::test]
async fn a_peer_that_enforcing_would_refuse_is_let_in_with_the_refusal_and_the_name_it_showed() {
    let files = observing();
    let edge = files.authority.edge();
    let stranger = Authority::new("stranger").edge();
    let stolen = Leaf { key: stranger.key.clone(), ..edge.clone() };
    for version in BOTH {
        for (leaf, refusal) in [
            (None, Refusal::CertificateRequired),
            (Some(&stranger), Refusal::UnknownCa),
            (Some(&stolen), Refusal::BadCertificate),
        ] {
            let (pull, _) = let_in(&files, leaf, &[version]).await;
            let would = pull.would_refuse();
            assert_eq!(would.refusal, refusal, "{version:?}");
            assert!(!would.detail.is_empty());
            let shown = would.presented.as_deref().map(|name| name.starts_with("CN=edge"));
            assert_eq!(shown, leaf.map(|_| true));
            let found = (&**pull.site().name(), pull.host());
            assert_eq!(found, ("example.com", &host("www.example.com")));
        }
        // The right certificate authenticates here too.
        let config = Arc::new(client(&files.authority, Some(&edge), &[version]));
        let (pull, _) = accepted(&sites(&files), &config, "example.com").await;
        assert!(pull.identity().subject.starts_with("CN=edge"));
    }
}

#[tokio::test]
async fn the_permit_of_an_unauthenticated_peer_proves_nothing() {
    let files = observing();
    let stranger = Authority::new("stranger").edge();
    let (pull, _peer) = let_in(&files, Some(&stranger), &BOTH).await;
    let permit = permit_unauthenticated(pull).ok().unwrap();
    let Authentication::None(would) = permit.authentication() else { panic!("authenticated") };
    assert_eq!(would.refusal, Refusal::UnknownCa);
    assert_eq!(permit.certificate(), None);
    let facts = permit.handshake();
    assert_eq!((facts.certificate(), facts.common_name()), (None, None));
    assert_eq!(facts.version(), Some("TLSv1.3"));
    let (stream, warrant) = permit.into_parts();
    assert!(!warrant.is_authenticated());
    assert_eq!(warrant.handshake(&stream).certificate(), None);
    // It stays for as long as its site observes.
    assert!(warrant.is_accepted_by(&site(&files.config), &stream));
    let mut enforcing = files.config.clone();
    enforcing.on_refusal = OnRefusal::Close;
    assert!(!warrant.is_accepted_by(&site(&enforcing), &stream));
}

#[tokio::test]
async fn when_its_site_has_stopped_observing_the_peer_gets_the_refusal_itself() {
    let files = observing();
    let (pull, peer) = let_in(&files, None, &BOTH).await;
    let would = pull.would_refuse().clone();
    let refused = pull.into_refused();
    assert_eq!((refused.refusal, &refused.detail), (would.refusal, &would.detail));
    assert_eq!(would.refusal, Refusal::CertificateRequired);
    assert!(refused.site.as_ref().is_some_and(|site| site.observes()));
    // The connection is closed in order: the peer reads its end.
    closing(refused, peer.into_inner().0).await;
}

#[tokio::test]
async fn a_site_that_observes_resumes_no_session() {
    let mut files = observing();
    files.config.rules.resumption = aop_config::Resumption::Verified;
    assert!(site(&files.config).connection_tls().sessions.is_none());
    let config = peer(&files, &files.authority.edge());
    let sites = sites(&files);
    for _ in 0..2 {
        assert!(!accepted(&sites, &config, "example.com").await.0.is_resumed());
    }
}
