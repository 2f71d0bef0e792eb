//! The request handler of one connection: checks each request, relays it and counts the outcome.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use aop_config::HttpConfig;
use aop_tls::{PeerProtocol, Site, Warrant, printable};
use hyper::{
    Method, Request, Response, Version,
    body::Incoming,
    header::{HOST, UPGRADE},
    http::{HeaderValue, request::Parts},
    upgrade::OnUpgrade,
};
use tokio::{task, time::Instant};

use super::{
    answer::Answer,
    denial::Denial,
    headers::{self, CF_RAY, Peer, Wants},
    host::Named,
    inbound::{Inbound, Progress},
    introduction::Introduction,
    pool::{Patience, Pool, Pools, Relayed, Said, held},
    stall::{Pulse, Pulses},
    upgrade::Tunnel,
    wire::Gauge,
};
use crate::{
    in_force::InForce,
    quiet::Reason,
    service::{ServicePolicy, Shared},
};

/// The request handler of one connection.
pub(super) struct Desk {
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    /// The policy under which the peer was authorized.
    accepted: Arc<InForce>,
    warrant: Warrant,
    /// The value of `Client-Cert`.
    certificate: Option<HeaderValue>,
    introduction: Introduction,
    gauge: Arc<Gauge>,
    began: Instant,
    requests: AtomicU64,
    open: AtomicUsize,
    /// Open requests whose response has begun.
    begun: AtomicUsize,
    /// When the last request ended, in milliseconds after `began`.
    rests_since: AtomicU64,
    malformed: AtomicBool,
    pulses: Pulses,
    memory: Mutex<Memory>,
    tunnel: Mutex<Option<(OnUpgrade, Tunnel)>>,
}

/// State that the last request leaves for the next one and for the log.
#[derive(Default)]
struct Memory {
    pool: Option<(Arc<Site>, Arc<Pool>)>,
    ray: Option<HeaderValue>,
}

/// How a request is relayed.
struct RequestRules {
    pool: Arc<Pool>,
    wants: Wants,
    patience: Patience,
    /// The PROXY header to send first, if the upstream expects one.
    header: Option<Vec<u8>>,
}

/// An open request.
pub(super) struct Open {
    desk: Arc<Desk>,
    /// The progress of its body, if it has one.
    upload: Option<Arc<Progress>>,
    /// Its CF-Ray: Cloudflare's identifier of the request.
    ray: Option<HeaderValue>,
    /// The host of a refused request, escaped for the log.
    host: Option<String>,
    /// The progress of its response, once that has begun.
    pulse: Option<Arc<Pulse>>,
}

impl Desk {
    pub(super) fn new(
        shared: Arc<Shared>,
        pools: Arc<Pools>,
        accepted: Arc<InForce>,
        warrant: Warrant,
        certificate: Option<HeaderValue>,
        introduction: Introduction,
        gauge: Arc<Gauge>,
    ) -> Self {
        Self {
            shared,
            pools,
            accepted,
            warrant,
            certificate,
            introduction,
            gauge,
            began: Instant::now(),
            requests: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            rests_since: AtomicU64::new(0),
            malformed: AtomicBool::new(false),
            pulses: Pulses::default(),
            memory: Mutex::default(),
            tunnel: Mutex::default(),
        }
    }

    /// Handles one request.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Response<Answer> {
        self.requests.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        let ray = request.headers().get(CF_RAY).cloned();
        held(&self.memory).ray.clone_from(&ray);
        let mut open = Open { desk: self.clone(), upload: None, ray, host: None, pulse: None };
        let upgrade =
            request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        match self.relay(request, &mut open).await {
            Ok((_, Said::Answer(Relayed { response, source, slot }))) => {
                self.shared.ledger.relayed();
                pass(response, Answer::new(source, Some(slot), open), Wants::Answer)
            }
            // Bytes that the peer sent before the upstream accepted the tunnel would be lost.
            Ok((Wants::WebSocket, Said::Tunnel(..))) if self.gauge.fault().is_some() => {
                self.deny(Denial::BadRequest, open)
            }
            Ok((Wants::WebSocket, Said::Tunnel(response, tunnel))) if is_websocket(&response) => {
                self.shared.ledger.relayed();
                self.gauge.now_a_tunnel();
                *held(&self.tunnel) = upgrade.map(|upgrade| (upgrade, tunnel));
                pass(response, Answer::empty(open), Wants::WebSocket)
            }
            // An unsolicited 101.
            Ok((_, Said::Tunnel(..))) => self.deny(Denial::UpstreamBroken, open),
            Err(denial) => self.deny(denial, open),
        }
    }

    async fn relay(
        &self,
        request: Request<Incoming>,
        open: &mut Open,
    ) -> Result<(Wants, Said), Denial> {
        let (mut head, body) = request.into_parts();
        let rules = self.rules(&mut head);
        let RequestRules { pool, wants, patience, header } =
            rules.inspect_err(|_| open.host = told(&head))?;
        let body = Inbound::new(body);
        open.upload = body.progress();
        headers::measure(&mut head, &body);
        let request = Request::from_parts(head, body);
        Ok((wants, pool.relay(&self.warrant, request, patience, header).await?))
    }

    /// Checks a request, rewrites its head for the upstream, and decides how to relay it.
    fn rules(&self, head: &mut Parts) -> Result<RequestRules, Denial> {
        let mut memory = held(&self.memory);
        if head.method == Method::CONNECT {
            return Err(Denial::BadRequest);
        }
        let named = Named::of(head)?;
        let now = self.shared.in_force.load();
        let (site, http, policy) = self.site(&now.policy)?;
        let proven = self.warrant.is_authenticated();
        named.belongs_to(self.warrant.host(), site, http, &policy.sites, proven)?;
        let peer = Peer {
            address: self.introduction.source(),
            certificate: self.certificate.as_ref(),
            visitors: self.introduction.visitors(),
        };
        let wants = headers::prepare(head, &named, &peer, http)?;
        let header = self.introduction.header(site.proxy(), &head.headers)?;
        let pool = match &memory.pool {
            Some((of, pool)) if Arc::ptr_eq(of, site) => pool.clone(),
            Some(_) | None => {
                let pool = self.pools.of(http);
                memory.pool = Some((site.clone(), pool.clone()));
                pool
            }
        };
        let patience = Patience { connect: policy.deadline, answer: http.answer };
        Ok(RequestRules { pool, wants, patience, header })
    }

    /// The site whose settings apply. It is the site of the active policy if that trusts every
    /// certificate that the connection's own site trusted. Otherwise trust was withdrawn and the
    /// connection ends soon; until then the policy that accepted it applies.
    fn site<'a>(
        &'a self,
        now: &'a ServicePolicy,
    ) -> Result<(&'a Arc<Site>, &'a HttpConfig, &'a ServicePolicy), Denial> {
        let own = self.warrant.site();
        let found = now.sites.find(self.warrant.host());
        if !self.warrant.is_authenticated() && !found.is_some_and(|site| site.observes()) {
            return Err(Denial::Unproven);
        }
        if let Some(site) = found
            && site.accepts_all_of(own)
            && let Some(http) = site.http()
        {
            return Ok((site, http, now));
        }
        let http = own.http().ok_or(Denial::UpstreamUnreachable)?;
        Ok((own, http, &self.accepted.policy))
    }

    /// Counts and logs, once for each connection, that the peer sent malformed bytes.
    pub(super) fn refuse(&self, denial: Denial) {
        if !self.malformed.swap(true, Relaxed) {
            self.book(denial, None, None);
        }
    }

    fn deny(&self, denial: Denial, open: Open) -> Response<Answer> {
        // `refuse` may have counted this request already.
        let counted = denial == Denial::BadRequest
            && self.gauge.fault().is_some()
            && self.malformed.swap(true, Relaxed);
        if !counted {
            self.book(denial, open.ray.as_ref(), open.host.as_deref());
        }
        Answer::denied(denial, open)
    }

    /// Counts and logs the responses whose progress timeout expired. Returns the tasks that send
    /// them.
    pub(super) fn stalled(&self) -> Vec<Option<task::Id>> {
        let wire = match self.warrant.protocol() {
            PeerProtocol::Http1 => self.gauge.moved().0 + self.gauge.moved().1,
            // The bytes of all streams say nothing about one stream.
            PeerProtocol::Http2 => 0,
        };
        let site = self.warrant.site().name();
        let stalled = self.pulses.round(wire).into_iter().map(|pulse| {
            self.shared.ledger.denied(site, Denial::Stalled);
            if self.shared.quiet.may_tell(Reason::Request(Denial::Stalled)) {
                tracing::info!(
                    site = &**site,
                    peer = %self.warrant.peer(),
                    outcome = Denial::Stalled.name(),
                    cf_ray = pulse.ray.as_ref().map(shown),
                    help = Denial::Stalled.help(),
                    "request aborted",
                );
            }
            pulse.task
        });
        stalled.collect()
    }

    fn book(&self, denial: Denial, ray: Option<&HeaderValue>, host: Option<&str>) {
        let site = self.warrant.site().name();
        self.shared.ledger.denied(site, denial);
        if !self.shared.quiet.may_tell(Reason::Request(denial)) {
            return;
        }
        tracing::info!(
            site = &**site,
            peer = %self.warrant.peer(),
            outcome = denial.name(),
            status = denial.status().as_u16(),
            cf_ray = ray.map(shown),
            host,
            help = denial.help(),
            "request refused",
        );
    }

    /// The number of requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// The CF-Ray of the last request, escaped for the log.
    pub(super) fn ray(&self) -> Option<String> {
        held(&self.memory).ray.as_ref().map(shown)
    }

    /// Whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Relaxed) > 0
    }

    /// Whether a response has begun and not ended.
    pub(super) fn is_answering(&self) -> bool {
        self.begun.load(Relaxed) > 0
    }

    /// How long the connection has been idle; zero while a request is open.
    pub(super) fn rested(&self) -> Duration {
        match self.is_busy() {
            true => Duration::ZERO,
            false => {
                let since = Duration::from_millis(self.rests_since.load(Relaxed));
                self.began.elapsed().saturating_sub(since)
            }
        }
    }

    /// The tunnel that follows HTTP on this connection, if the upstream accepted one with a 101.
    pub(super) fn take_tunnel(&self) -> Option<(OnUpgrade, Tunnel)> {
        held(&self.tunnel).take()
    }

    pub(super) fn warrant(&self) -> &Warrant {
        &self.warrant
    }
}

impl Open {
    /// The same request, now that its response begins.
    pub(super) fn begin(mut self) -> Self {
        self.desk.begun.fetch_add(1, Relaxed);
        self.pulse = Some(self.desk.pulses.begin(self.upload.take(), self.ray.clone()));
        self
    }

    /// Records progress: the peer took a part of the response.
    pub(super) fn beat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let desk = &self.desk;
        if let Some(pulse) = &self.pulse {
            desk.pulses.end(pulse);
            desk.begun.fetch_sub(1, Relaxed);
        }
        let now = desk.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        desk.rests_since.store(now, Relaxed);
        desk.open.fetch_sub(1, Relaxed);
    }
}

/// The host that a refused request names, escaped for the log.
fn told(head: &Parts) -> Option<String> {
    let host = head.headers.get(HOST).map(shown);
    host.or_else(|| Some(printable(head.uri.authority()?.as_str())))
}

fn shown(ray: &HeaderValue) -> String {
    printable(&String::from_utf8_lossy(ray.as_bytes()))
}

/// The upstream's response head, cleaned for the peer. hyper sets the HTTP version of the peer's
/// connection.
fn pass(response: Response<()>, answer: Answer, wants: Wants) -> Response<Answer> {
    let (mut head, ()) = response.into_parts();
    headers::clean(&mut head.headers, wants);
    head.version = Version::HTTP_11;
    Response::from_parts(head, answer)
}

fn is_websocket(response: &Response<()>) -> bool {
    let upgrade = response.headers().get(UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
