//! By default nothing is resumed: a resumed session would not be judged. Where a site resumes, it is
//! judged again, and what a reload changed is never met by a session from before.

use std::{sync::Arc, time::Duration};

use aop_config::{ClientCa, Resumption, Rules, SiteConfig};
use aop_tls::{
    Refusal,
    testing::{BOTH, Leaf, client},
};
use rcgen::date_time_ymd;
use rustls::{
    AlertDescription as Alert, ClientConfig, HandshakeKind, NamedGroup,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption as Remembering,
        Tls12ClientSessionValue, Tls13ClientSessionValue,
    },
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::time::sleep;

use super::rig::{OTHER_SITE, Rig, SITE, Wish, exchange};

/// A peer that offers its sessions to whichever name it connects to, as an attacker would.
#[derive(Debug)]
struct AnyName(ClientSessionMemoryCache);

fn one() -> ServerName<'static> {
    ServerName::try_from("one.test").unwrap()
}

impl ClientSessionStore for AnyName {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(one(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&one())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(one(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&one())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&one());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(one(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&one())
    }
}

/// How a whole pull for `host` shook hands.
async fn kind(rig: &Rig, config: &Arc<ClientConfig>, host: &str) -> HandshakeKind {
    let (mut peer, mut upstream) = rig.pull_as(config, host).await.unwrap();
    exchange(&mut peer, &mut upstream).await;
    peer.get_ref().1.handshake_kind().unwrap()
}

async fn resuming() -> Rig {
    let rules = Rules { resumption: Resumption::Verified, ..Rules::default() };
    Rig::with(Wish { rules, ..Wish::default() }).await
}

fn remembering(rig: &Rig, leaf: &Leaf) -> Arc<ClientConfig> {
    let mut config = client(&rig.server_ca, Some(leaf), &[&TLS13]);
    config.resumption = Remembering::store(Arc::new(AnyName(ClientSessionMemoryCache::new(16))));
    Arc::new(config)
}

#[tokio::test]
async fn the_second_handshake_is_a_full_one_and_no_ticket_is_given() {
    let rig = Rig::new().await;
    for version in BOTH {
        let config = client(&rig.server_ca, Some(&rig.client_ca.edge()), &[version]);
        // One configuration, and so one store of sessions, for both.
        let config = Arc::new(config);
        for _ in 0..2 {
            let (mut peer, mut upstream) = rig.pull_as(&config, SITE).await.unwrap();
            exchange(&mut peer, &mut upstream).await;
            let (_, session) = peer.get_ref();
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
            assert_eq!(session.tls13_tickets_received(), 0);
        }
    }
    rig.ledger_when(|ledger| ledger.accepted == 4).await;
}

#[tokio::test]
async fn where_a_site_resumes_a_session_is_resumed_in_tls_1_3_alone() {
    let rig = resuming().await;
    let leaf = rig.client_ca.edge();
    let config = remembering(&rig, &leaf);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    for _ in 0..5 {
        assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    }
    let old = Arc::new(client(&rig.server_ca, Some(&leaf), &[&TLS12]));
    for _ in 0..2 {
        assert_eq!(kind(&rig, &old, SITE).await, HandshakeKind::Full);
    }
    rig.ledger_when(|ledger| ledger.accepted == 8).await;
    let identities = rig.ledger().identities;
    assert_eq!((identities.len(), identities[0].pulls), (1, 8));
}

#[tokio::test]
async fn another_name_or_site_resumes_nothing() {
    let rig = resuming().await;
    let config = remembering(&rig, &rig.client_ca.edge());
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    assert_eq!(kind(&rig, &config, "xample.com").await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, "www.example.com").await, HandshakeKind::Full);
    assert_eq!(rig.alert(&config, OTHER_SITE).await, Alert::UnknownCA);
    rig.booked(OTHER_SITE, Refusal::UnknownCa, 1).await;
    rig.upstream_saw_nothing().await;
}

/// After a session was resumed and `change` was loaded, the same peer is refused as by a handshake.
async fn reload_refuses(change: impl Fn(&Rig, &mut SiteConfig), refusal: Refusal, alert: Alert) {
    let rig = resuming().await;
    let leaf = rig.client_ca.leaf(|params| params.serial_number = Some(7_u64.into()));
    let config = remembering(&rig, &leaf);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    rig.service.reload(rig.changed(|site| change(&rig, site)), Duration::from_secs(60));
    assert_eq!(rig.alert(&config, SITE).await, alert);
    rig.booked(SITE, refusal, 1).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn another_client_ca_refuses_what_was_resumed_before() {
    let swap = |_: &Rig, site: &mut SiteConfig| {
        let ClientCa::File(file) = &site.client_ca[0] else { panic!("a file") };
        let other = file.with_file_name(format!("{OTHER_SITE}.ca"));
        site.client_ca = vec![ClientCa::File(other)];
    };
    reload_refuses(swap, Refusal::UnknownCa, Alert::UnknownCA).await;
}

#[tokio::test]
async fn a_new_rule_refuses_what_was_resumed_before() {
    let rule = |_: &Rig, site: &mut SiteConfig| {
        site.rules.san = vec!["dns:somebody.else".parse().unwrap()];
    };
    reload_refuses(rule, Refusal::SanMissing, Alert::CertificateUnknown).await;
}

#[tokio::test]
async fn a_revocation_list_refuses_what_was_resumed_before() {
    let list = |rig: &Rig, site: &mut SiteConfig| {
        let file = site.key.with_extension("crl");
        std::fs::write(&file, rig.client_ca.crl(&[7], 2100)).unwrap();
        site.rules.revocation.files = vec![file];
    };
    reload_refuses(list, Refusal::Revoked, Alert::CertificateRevoked).await;
}

#[tokio::test]
async fn the_same_configuration_loaded_again_resumes_nothing_from_before() {
    let rig = resuming().await;
    let config = remembering(&rig, &rig.client_ca.edge());
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    let patience = Duration::from_secs(60);
    rig.service.reload(rig.policy(|_| true), patience);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    rig.service.reload(rig.changed(|site| site.rules.resumption = Resumption::Off), patience);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
}

#[tokio::test]
async fn a_certificate_that_has_run_out_since_is_refused() {
    let rig = resuming().await;
    let ends = Duration::from_secs(aop_tls::now() + 3);
    let leaf = rig.client_ca.leaf(|params| params.not_after = date_time_ymd(1970, 1, 1) + ends);
    let config = remembering(&rig, &leaf);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.alert(&config, SITE).await, Alert::CertificateExpired);
    rig.booked(SITE, Refusal::Expired, 1).await;
    rig.upstream_saw_nothing().await;
}
