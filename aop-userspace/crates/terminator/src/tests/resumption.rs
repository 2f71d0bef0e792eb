//! By default no session is resumed: a resumed session would not be verified. If a site allows
//! resumption, each resumption is verified again, and a reload invalidates all earlier sessions.

use std::{sync::Arc, time::Duration};

use aop_config::{CertificateRules, ClientCa, Resumption, SiteConfig};
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

use super::rig::{OTHER_SITE, Rig, RigConfig, SITE, exchange};

/// A session store that offers its sessions to every server name, as an attacker would.
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

/// The kind of handshake of a whole pull for `host`.
async fn kind(rig: &Rig, config: &Arc<ClientConfig>, host: &str) -> HandshakeKind {
    let (mut peer, mut upstream) = rig.pull_as(config, host).await.unwrap();
    exchange(&mut peer, &mut upstream).await;
    peer.get_ref().1.handshake_kind().unwrap()
}

async fn resuming() -> Rig {
    let rules =
        CertificateRules { resumption: Resumption::Verified, ..CertificateRules::default() };
    Rig::with(RigConfig { rules, ..RigConfig::default() }).await
}

fn remembering(rig: &Rig, leaf: &Leaf) -> Arc<ClientConfig> {
    let mut config = client(&rig.server_ca, Some(leaf), &[&TLS13]);
    config.resumption = Remembering::store(Arc::new(AnyName(ClientSessionMemoryCache::new(16))));
    Arc::new(config)
}

#[tokio::test]
async fn by_default_the_second_handshake_is_full_and_no_ticket_is_sent() {
    let rig = Rig::new().await;
    for version in BOTH {
        let config = client(&rig.server_ca, Some(&rig.client_ca.edge()), &[version]);
        // Both handshakes share a configuration and thus a session store.
        let config = Arc::new(config);
        for _ in 0..2 {
            let (mut peer, mut upstream) = rig.pull_as(&config, SITE).await.unwrap();
            exchange(&mut peer, &mut upstream).await;
            let (_, session) = peer.get_ref();
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
            assert_eq!(session.tls13_tickets_received(), 0);
        }
    }
    rig.counters_when(|counters| counters.accepted == 4).await;
}

#[tokio::test]
async fn a_site_that_allows_resumption_resumes_only_in_tls_1_3() {
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
    rig.counters_when(|counters| counters.accepted == 8).await;
    let identities = rig.counters().identities;
    assert_eq!((identities.len(), identities[0].pulls), (1, 8));
}

#[tokio::test]
async fn a_session_does_not_resume_for_another_name_or_site() {
    let rig = resuming().await;
    let config = remembering(&rig, &rig.client_ca.edge());
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    assert_eq!(kind(&rig, &config, "xample.com").await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, "www.example.com").await, HandshakeKind::Full);
    assert_eq!(rig.alert(&config, OTHER_SITE).await, Alert::UnknownCA);
    rig.refusals_counted(OTHER_SITE, Refusal::UnknownCa, 1).await;
    rig.upstream_saw_nothing().await;
}

/// After a resumption and a reload with `change`, the same peer is refused as in a full handshake.
async fn reload_refuses(change: impl Fn(&Rig, &mut SiteConfig), refusal: Refusal, alert: Alert) {
    let rig = resuming().await;
    let leaf = rig.client_ca.leaf(|params| params.serial_number = Some(7_u64.into()));
    let config = remembering(&rig, &leaf);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    rig.service.reload(rig.changed(|site| change(&rig, site)), Duration::from_secs(60));
    assert_eq!(rig.alert(&config, SITE).await, alert);
    rig.refusals_counted(SITE, refusal, 1).await;
    rig.upstream_saw_nothing().await;
}

#[tokio::test]
async fn a_session_from_before_another_client_ca_is_refused() {
    let swap = |_: &Rig, site: &mut SiteConfig| {
        let ClientCa::File(file) = &site.client_ca[0] else { panic!("a file") };
        let other = file.with_file_name(format!("{OTHER_SITE}.ca"));
        site.client_ca = vec![ClientCa::File(other)];
    };
    reload_refuses(swap, Refusal::UnknownCa, Alert::UnknownCA).await;
}

#[tokio::test]
async fn a_session_from_before_a_new_rule_is_refused() {
    let rule = |_: &Rig, site: &mut SiteConfig| {
        site.rules.san = vec!["dns:somebody.else".parse().unwrap()];
    };
    reload_refuses(rule, Refusal::SanMissing, Alert::CertificateUnknown).await;
}

#[tokio::test]
async fn a_session_from_before_a_revocation_list_is_refused() {
    let list = |rig: &Rig, site: &mut SiteConfig| {
        let ca = if site.name == OTHER_SITE { &rig.other_ca } else { &rig.client_ca };
        let file = site.key.with_extension("crl");
        std::fs::write(&file, ca.crl(&[7], 2100)).unwrap();
        site.rules.revocation.files = vec![file];
    };
    reload_refuses(list, Refusal::Revoked, Alert::CertificateRevoked).await;
}

#[tokio::test]
async fn a_reload_of_the_same_configuration_invalidates_earlier_sessions() {
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
async fn a_session_whose_certificate_has_expired_since_is_refused() {
    let rig = resuming().await;
    let expiry = Duration::from_secs(aop_types::unix_seconds() + 3);
    let leaf = rig.client_ca.leaf(|params| params.not_after = date_time_ymd(1970, 1, 1) + expiry);
    let config = remembering(&rig, &leaf);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Full);
    assert_eq!(kind(&rig, &config, SITE).await, HandshakeKind::Resumed);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.alert(&config, SITE).await, Alert::CertificateExpired);
    rig.refusals_counted(SITE, Refusal::Expired, 1).await;
    rig.upstream_saw_nothing().await;
}
