//! Tests of permits: what they say of a peer, and the checks that are repeated for them.

use std::sync::Arc;

use aop_config::{ClientCa, OnRefusal, SiteConfig};
use rcgen::{DnType, DnValue};
use rustls::{
    CipherSuite, ProtocolVersion,
    version::{TLS12, TLS13},
};

use super::{
    TestSite,
    pull::{accepted, host, peer, permitted, site, sites},
};
use crate::{
    Authentication, CaScope, CertificateFrom, HandshakeFacts, PeerIdentity, PeerProtocol,
    authorize, into_tcp,
    testing::{Authority, client},
};

#[tokio::test]
async fn an_origin_pull_and_its_permit_say_who_was_accepted_where_and_how() {
    let mut files = TestSite::good();
    files.config.upstream = "http://127.0.0.1:1".parse().unwrap();
    let (sites, edge) = (sites(&files), files.authority.edge());
    let identity = PeerIdentity::read(&edge.chain[0]).unwrap();
    assert!(identity.subject.starts_with("CN=edge, O="), "{}", identity.subject);
    for (version, number, suite, name, cipher) in [
        (
            &TLS13,
            ProtocolVersion::TLSv1_3,
            CipherSuite::TLS13_AES_256_GCM_SHA384,
            "TLSv1.3",
            "TLS_AES_256_GCM_SHA384",
        ),
        (
            &TLS12,
            ProtocolVersion::TLSv1_2,
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            "TLSv1.2",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
    ] {
        let mut config = client(&files.authority, Some(&edge), &[version]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (pull, end) = accepted(&sites, &Arc::new(config), "www.example.com").await;
        assert_eq!((&**pull.site().name(), pull.host()), ("example.com", &host("www.example.com")));
        assert_eq!((pull.identity(), pull.is_resumed()), (&identity, false));
        assert_eq!((pull.version(), pull.cipher()), (Some(number), Some(suite)));
        let permit = authorize(pull).ok().unwrap();
        assert_eq!(&**permit.site().name(), "example.com");
        assert_eq!(permit.host(), &host("www.example.com"));
        assert_eq!(permit.certificate(), Some(&*edge.chain[0]));
        let Authentication::Certificate { identity: had, issuing_ca } = permit.authentication()
        else {
            panic!("no certificate")
        };
        assert_eq!(had, &identity);
        let issuer = issuing_ca.as_ref().unwrap();
        assert_eq!(issuer.scope, CaScope::Own);
        assert!(issuer.name.ends_with("ca.pem"), "{}", issuer.name);
        let is_right = |facts: HandshakeFacts| {
            assert_eq!((facts.version(), facts.cipher()), (Some(name), Some(cipher)));
            assert_eq!(facts.host, host("www.example.com"));
            assert_eq!(facts.alpn.as_deref(), Some(&b"h2"[..]));
            assert_eq!(facts.certificate_from, CertificateFrom::ThisHandshake);
            assert_eq!(facts.certificate(), Some(&*edge.chain[0]));
            assert_eq!(facts.common_name().as_deref(), Some("edge"));
        };
        is_right(permit.handshake());
        let (stream, warrant) = permit.into_parts();
        is_right(warrant.handshake(&stream));
        assert!(warrant.is_authenticated());
        assert_eq!(
            (&**warrant.site().name(), warrant.host()),
            ("example.com", &host("www.example.com"))
        );
        assert_eq!(warrant.peer(), end.get_ref().0.local_addr().unwrap());
        assert_eq!(warrant.protocol(), PeerProtocol::Http2);
        assert_eq!(into_tcp(stream).peer_addr().unwrap(), warrant.peer());
    }
}

#[test]
fn the_common_name_is_the_first_one_in_utf_8() {
    let ca = Authority::new("ca");
    let name_of = |names: &[DnValue]| {
        let leaf = ca.leaf(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            let kinds = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
            for (kind, name) in kinds.into_iter().zip(names) {
                params.distinguished_name.push(kind, name.clone());
            }
        });
        HandshakeFacts::of("example.com", leaf.chain[0].clone()).common_name()
    };
    let text = |text: &str| DnValue::Utf8String(text.into());
    assert_eq!(name_of(&[]), None);
    assert_eq!(name_of(&[text("zoë"), text("other")]).as_deref(), Some("zoë"));
    let latin = DnValue::TeletexString("edge".try_into().unwrap());
    assert_eq!(name_of(&[latin]).as_deref(), Some("edge"));
}

#[tokio::test]
async fn a_changed_site_accepts_a_relayed_peer_only_by_its_rules_and_its_certificate() {
    let files = TestSite::good();
    let peer = peer(&files, &files.authority.edge());
    let (permit, _end) = permitted(&sites(&files), &peer, "example.com").await;
    let requiring = |name: &str| {
        let mut config = files.config.clone();
        config.rules.cn = Some(name.into());
        site(&config)
    };
    let mut other_ca = files.config.clone();
    let other = files.write("other.pem", &Authority::new("other").pem());
    other_ca.client_ca = vec![ClientCa::File(other)];
    let observing = SiteConfig { on_refusal: OnRefusal::Observe, ..other_ca.clone() };
    let changed = [
        (site(&files.config), true),
        // This rule is new, and the certificate satisfies it.
        (requiring("edge"), true),
        (requiring("another name"), false),
        (site(&other_ca), false),
        // An authenticated peer is not accepted because a site lets everybody in.
        (site(&observing), false),
    ];
    for (changed, accepts) in &changed {
        assert_eq!(permit.certificate_is_accepted_by(changed), *accepts);
    }
    assert!(changed[0].0.accepts_all_of(permit.site()));
    assert!(!changed[1].0.accepts_all_of(permit.site()));
    let (stream, warrant) = permit.into_parts();
    for (changed, accepts) in &changed {
        assert_eq!(warrant.is_accepted_by(changed, &stream), *accepts);
    }
}
