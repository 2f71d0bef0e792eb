//! A terminator with two sites, an edge that it trusts, and an upstream that the test controls.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use aop_config::{
    CertificateRules, ClientCa, HttpConfig, Limits, OnRefusal, ProxyProtocol, ProxySenders,
    SiteConfig, Upstream, UpstreamAddress,
};
use aop_listeners::{Listener, bind, listen};
use aop_tls::{
    Refusal, SiteFiles, Sites,
    testing::{Authority, BOTH, Leaf, client, connect},
};
use aop_types::{AddressVerdict, PeerGate, PeerRecord};
use ipnet::IpNet;
use rustls::{AlertDescription, ClientConfig};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use crate::{CountersSnapshot, RefusedCount, Service, ServicePolicy};

pub(super) const SITE: &str = "example.com";
pub(super) const OTHER_SITE: &str = "other.test";
const LONG: Duration = Duration::from_secs(10);

pub(super) struct Rig {
    pub(super) server_ca: Authority,
    pub(super) client_ca: Authority,
    pub(super) other_ca: Authority,
    pub(super) service: Service,
    pub(super) address: SocketAddr,
    pub(super) gate: Arc<TestGate>,
    pub(super) book: Arc<TestPeerRecord>,
    pub(super) upstream: TcpListener,
    sites: Vec<SiteConfig>,
    senders: ProxySenders,
    _directory: TempDir,
}

/// The settings of a rig.
pub(super) struct RigConfig {
    pub(super) deadline: Duration,
    pub(super) limits: Limits,
    pub(super) proxy: ProxyProtocol,
    /// The senders of PROXY headers.
    pub(super) proxy_from: Vec<IpNet>,
    pub(super) upstream: Option<Upstream>,
    pub(super) rules: CertificateRules,
    pub(super) on_refusal: OnRefusal,
}

impl RigConfig {
    /// Another upstream, by its URL.
    pub(super) fn upstream(url: &str) -> Self {
        Self { upstream: Some(url.parse().unwrap()), ..Self::default() }
    }

    /// The same settings with `change` applied to the HTTP upstream.
    pub(super) fn relayed(mut self, change: impl FnOnce(&mut HttpConfig)) -> Self {
        if let Some(Upstream::Http(http)) = &mut self.upstream {
            change(http);
        }
        self
    }
}

impl Default for RigConfig {
    fn default() -> Self {
        Self {
            deadline: LONG,
            limits: Limits { connections: 100, handshakes: 100, per_peer: 100, workers: Some(2) },
            proxy: ProxyProtocol::Off,
            proxy_from: Vec::new(),
            upstream: None,
            rules: CertificateRules::default(),
            on_refusal: OnRefusal::Close,
        }
    }
}

/// The gate: one verdict for all addresses, and exceptions for some.
pub(super) struct TestGate(Mutex<(AddressVerdict, HashMap<IpAddr, AddressVerdict>)>);

impl TestGate {
    pub(super) fn set(&self, verdict: AddressVerdict) {
        self.0.lock().unwrap().0 = verdict;
    }

    pub(super) fn set_for(&self, address: &str, verdict: AddressVerdict) {
        self.0.lock().unwrap().1.insert(address.parse().unwrap(), verdict);
    }
}

impl PeerGate for TestGate {
    fn check(&self, address: IpAddr, _: u16) -> AddressVerdict {
        let verdicts = self.0.lock().unwrap();
        *verdicts.1.get(&address).unwrap_or(&verdicts.0)
    }
}

#[derive(Default)]
pub(super) struct TestPeerRecord(pub(super) Mutex<HashSet<(IpAddr, String)>>);

impl PeerRecord for TestPeerRecord {
    fn record(&self, address: IpAddr, site: &str) {
        self.0.lock().unwrap().insert((address, site.into()));
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.lock().unwrap().iter().any(|(known, _)| *known == address)
    }
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(RigConfig::default()).await
    }

    pub(super) async fn with(config: RigConfig) -> Self {
        let directory = TempDir::new().unwrap();
        let server_ca = Authority::new("server CA");
        let client_ca = Authority::new("client CA");
        let other_ca = Authority::new("other client CA");
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address =
            Upstream::Bytes(UpstreamAddress::Tcp(upstream.local_addr().unwrap().to_string()));
        let site = |hosts: &[&str], client_ca: &Authority| {
            let at = |kind: &str| directory.path().join(format!("{}.{kind}", hosts[0]));
            let server = server_ca.server(hosts);
            std::fs::write(at("pem"), server.pem()).unwrap();
            std::fs::write(at("key"), server.key_pem()).unwrap();
            std::fs::write(at("ca"), client_ca.pem()).unwrap();
            SiteConfig {
                name: hosts[0].into(),
                hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
                certificate: at("pem"),
                key: at("key"),
                client_ca: vec![ClientCa::File(at("ca"))],
                rules: config.rules.clone(),
                upstream: config.upstream.clone().unwrap_or(address.clone()),
                proxy: config.proxy,
                on_refusal: config.on_refusal,
                shared_upstream: false,
                check: None,
            }
        };
        let sites = vec![
            site(&[SITE, "xample.com", "*.example.com"], &client_ca),
            site(&[OTHER_SITE], &other_ca),
        ];
        let bound = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let listening = listen(bound).unwrap().into_iter();
        let listeners: Vec<_> = listening.map(|one| Listener::adopt(one).unwrap()).collect();
        let address = listeners[0].address();
        let gate = Arc::new(TestGate(Mutex::new((AddressVerdict::Admitted, HashMap::new()))));
        let book = Arc::new(TestPeerRecord::default());
        let (built, _) = Sites::build(&sites, &SiteFiles::on_disk()).unwrap();
        let senders = ProxySenders::new(vec![(address, config.proxy_from)]);
        let policy =
            ServicePolicy { sites: built, senders: senders.clone(), deadline: config.deadline };
        let service =
            Service::start(listeners, policy, gate.clone(), book.clone(), config.limits).unwrap();
        Self {
            server_ca,
            client_ca,
            other_ca,
            service,
            address,
            gate,
            book,
            upstream,
            sites,
            senders,
            _directory: directory,
        }
    }

    /// Applies `change` to the HTTP upstreams of policies that are made from now on.
    pub(super) fn change_http(&mut self, change: impl Fn(&mut HttpConfig)) {
        for site in &mut self.sites {
            if let Upstream::Http(http) = &mut site.upstream {
                change(http);
            }
        }
    }

    /// The policy of the rig, with the sites that `keep` keeps.
    pub(super) fn policy(&self, keep: impl Fn(&SiteConfig) -> bool) -> ServicePolicy {
        let kept: Vec<_> = self.sites.iter().filter(|site| keep(site)).cloned().collect();
        self.policy_of(&kept)
    }

    /// The policies that are made from now on trust these authorities for `SITE`.
    pub(super) fn trust(&self, authorities: &[&Authority]) {
        let [ClientCa::File(file)] = &self.sites[0].client_ca[..] else { panic!("one file") };
        let pem: String = authorities.iter().map(|authority| authority.pem()).collect();
        std::fs::write(file, pem).unwrap();
    }

    /// The policy of the rig with its sites changed.
    pub(super) fn changed(&self, change: impl FnMut(&mut SiteConfig)) -> ServicePolicy {
        let mut sites = self.sites.clone();
        sites.iter_mut().for_each(change);
        self.policy_of(&sites)
    }

    fn policy_of(&self, sites: &[SiteConfig]) -> ServicePolicy {
        let (sites, _) = Sites::build(sites, &SiteFiles::on_disk()).unwrap();
        ServicePolicy { sites, senders: self.senders.clone(), deadline: LONG }
    }

    pub(super) fn client(&self, leaf: Option<&Leaf>) -> Arc<ClientConfig> {
        Arc::new(client(&self.server_ca, leaf, &BOTH))
    }

    pub(super) fn edge(&self) -> Arc<ClientConfig> {
        self.client(Some(&self.client_ca.edge()))
    }

    /// An open pull of the edge, and the upstream's side of it.
    pub(super) async fn pull(&self) -> (TlsStream<TcpStream>, TcpStream) {
        self.pull_as(&self.edge(), SITE).await.unwrap()
    }

    pub(super) async fn pull_as(
        &self,
        client: &Arc<ClientConfig>,
        host: &str,
    ) -> io::Result<(TlsStream<TcpStream>, TcpStream)> {
        let peer = connect(client, self.address, host).await?;
        let (upstream, _) = timeout(LONG, self.upstream.accept()).await??;
        Ok((peer, upstream))
    }

    /// One whole pull: question, answer and orderly end.
    pub(super) async fn serve(&self, client: &Arc<ClientConfig>, host: &str) {
        let (mut peer, mut upstream) = self.pull_as(client, host).await.unwrap();
        exchange(&mut peer, &mut upstream).await;
        peer.shutdown().await.unwrap();
        assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
        drop(upstream);
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    }

    /// Serves a good peer first. Then refuses the peer with `leaf`: it reads `alert`, each attempt
    /// is counted under `refusal` and nothing else, and the upstream has seen only the good peer.
    pub(super) async fn refuses(
        &self,
        leaf: Option<&Leaf>,
        host: &str,
        refusal: Refusal,
        alert: AlertDescription,
    ) {
        self.serve(&self.edge(), SITE).await;
        for version in BOTH {
            let client = Arc::new(client(&self.server_ca, leaf, &[version]));
            assert_eq!(self.alert(&client, host).await, alert, "{version:?}");
        }
        let site = if refusal == Refusal::UnknownName { "-" } else { host };
        self.refusals_counted(site, refusal, 2).await;
        assert_eq!(self.counters().accepted, 1);
        self.upstream_saw_nothing().await;
    }

    /// The alert that refuses `client`: in the handshake with TLS 1.2, at the first read with TLS
    /// 1.3.
    pub(super) async fn alert(&self, client: &Arc<ClientConfig>, host: &str) -> AlertDescription {
        let attempt = async {
            let mut peer = connect(client, self.address, host).await?;
            peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
            peer.read(&mut [0; 100]).await
        };
        let error = timeout(LONG, attempt).await.unwrap().expect_err("the peer is refused");
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            other => panic!("no alert, but {other:?} ({error})"),
        }
    }

    pub(super) fn counters(&self) -> CountersSnapshot {
        self.service.counters().snapshot()
    }

    /// Waits until the counters satisfy `wanted`.
    pub(super) async fn counters_when(&self, wanted: impl Fn(&CountersSnapshot) -> bool) {
        for _ in 0..500 {
            if wanted(&self.counters()) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.counters());
    }

    /// Waits until `count` refusals are counted, all under `site` and `refusal`.
    pub(super) async fn refusals_counted(&self, site: &str, refusal: Refusal, count: u64) {
        self.counters_when(|counters| {
            let refusals_counted =
                |it: &RefusedCount| (&*it.site, it.refusal, it.count) == (site, refusal, count);
            counters.refused.len() == 1 && refusals_counted(&counters.refused[0])
        })
        .await;
    }

    pub(super) async fn upstream_saw_nothing(&self) {
        let seen = timeout(Duration::from_millis(50), self.upstream.accept()).await;
        assert!(seen.is_err(), "the upstream was reached");
    }
}

/// A question and its answer.
pub(super) async fn exchange(peer: &mut TlsStream<TcpStream>, upstream: &mut TcpStream) {
    let mut buffer = [0; 8];
    peer.write_all(b"question").await.unwrap();
    timeout(LONG, upstream.read_exact(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer, b"question");
    upstream.write_all(b"answered").await.unwrap();
    timeout(LONG, peer.read_exact(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer, b"answered");
}
