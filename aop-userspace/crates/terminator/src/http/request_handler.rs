//! The request handler of one connection: checks each request, relays it and counts the outcome.

mod open_request;

use std::{
    sync::{
        Arc,
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
pub(super) use open_request::OpenRequest;
use parking_lot::Mutex;
use tokio::{task, time::Instant};

use super::{
    checked_stream::StreamStats,
    denial::Denial,
    forwarded_visitor::ForwardedVisitor,
    headers::{self, CF_RAY, PeerFacts, Upgrade},
    progress_timeout::ResponseMonitor,
    request_body::RequestBody,
    request_host::RequestHost,
    response_body::ResponseBody,
    upstream::{Pool, Pools, RelayedResponse, RequestTimeouts, UpstreamReply},
    websocket::UpgradedUpstream,
};
use crate::{
    accept_policy::AcceptPolicy,
    counters::SiteCounters,
    log_limit::LogReason,
    service::{ServicePolicy, Shared},
};

/// The request handler of one connection.
pub(super) struct HttpRequestHandler {
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    /// The policy under which the peer was authorized.
    accept_policy: Arc<AcceptPolicy>,
    warrant: Warrant,
    /// The counters of its site.
    site_counters: Arc<SiteCounters>,
    /// The value of `Client-Cert`.
    certificate: Option<HeaderValue>,
    forwarded: ForwardedVisitor,
    stats: Arc<StreamStats>,
    began: Instant,
    requests: AtomicU64,
    open: AtomicUsize,
    /// Open requests whose response has begun.
    responding: AtomicUsize,
    /// When the last request ended, in milliseconds after `began`.
    idle_since: AtomicU64,
    malformed: AtomicBool,
    responses: ResponseMonitor,
    last: Mutex<LastRequest>,
    tunnel: Mutex<Option<(OnUpgrade, UpgradedUpstream)>>,
}

/// State that the last request leaves for the next one and for the log.
#[derive(Default)]
struct LastRequest {
    pool: Option<(Arc<Site>, Arc<Pool>)>,
    ray: Option<HeaderValue>,
}

/// How a request is relayed.
struct RequestPlan {
    pool: Arc<Pool>,
    upgrade: Upgrade,
    timeouts: RequestTimeouts,
    /// The PROXY header to send first, if the upstream expects one.
    header: Option<Vec<u8>>,
}

impl HttpRequestHandler {
    pub(super) fn new(
        shared: Arc<Shared>,
        pools: Arc<Pools>,
        accept_policy: Arc<AcceptPolicy>,
        warrant: Warrant,
        certificate: Option<HeaderValue>,
        forwarded: ForwardedVisitor,
        stats: Arc<StreamStats>,
    ) -> Self {
        let site_counters = accept_policy.counters(warrant.site().name(), &shared.counters);
        Self {
            site_counters,
            shared,
            pools,
            accept_policy,
            warrant,
            certificate,
            forwarded,
            stats,
            began: Instant::now(),
            requests: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            responding: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            malformed: AtomicBool::new(false),
            responses: ResponseMonitor::default(),
            last: Mutex::default(),
            tunnel: Mutex::default(),
        }
    }

    /// Handles one request.
    pub(super) async fn handle(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        self.requests.fetch_add(1, Relaxed);
        let ray = request.headers().get(CF_RAY).cloned();
        self.last.lock().ray.clone_from(&ray);
        let mut open = OpenRequest::new(self.clone(), ray);
        let on_upgrade =
            request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        match self.relay(request, &mut open).await {
            Ok((_, UpstreamReply::Response(RelayedResponse { response, source, slot }))) => {
                self.shared.counters.relayed();
                let body = ResponseBody::new(source, Some(slot), open);
                response_for_peer(response, body, Upgrade::None)
            }
            // Bytes that the peer sent before the upstream accepted the tunnel would be lost.
            Ok((Upgrade::WebSocket, UpstreamReply::Tunnel(..))) if self.stats.fault().is_some() => {
                self.deny(Denial::BadRequest, open)
            }
            Ok((Upgrade::WebSocket, UpstreamReply::Tunnel(response, tunnel)))
                if is_websocket(&response) =>
            {
                self.shared.counters.relayed();
                self.stats.set_tunnel();
                *self.tunnel.lock() = on_upgrade.map(|on_upgrade| (on_upgrade, tunnel));
                response_for_peer(response, ResponseBody::empty(open), Upgrade::WebSocket)
            }
            // An unsolicited 101.
            Ok((_, UpstreamReply::Tunnel(..))) => self.deny(Denial::UpstreamBroken, open),
            Err(denial) => self.deny(denial, open),
        }
    }

    async fn relay(
        &self,
        request: Request<Incoming>,
        open: &mut OpenRequest,
    ) -> Result<(Upgrade, UpstreamReply), Denial> {
        let (mut head, body) = request.into_parts();
        let plan = self.plan(&mut head);
        let RequestPlan { pool, upgrade, timeouts, header } =
            plan.inspect_err(|_| open.host = named_host(&head))?;
        let body = RequestBody::new(body);
        open.upload = body.progress();
        headers::set_framing(&mut head, &body);
        let request = Request::from_parts(head, body);
        Ok((upgrade, pool.relay(&self.warrant, request, timeouts, header).await?))
    }

    /// Checks a request, rewrites its head for the upstream, and decides how to relay it.
    fn plan(&self, head: &mut Parts) -> Result<RequestPlan, Denial> {
        let mut last = self.last.lock();
        if head.method == Method::CONNECT {
            return Err(Denial::BadRequest);
        }
        let named = RequestHost::parse(head)?;
        let now = self.shared.accept_policy.load();
        let (site, http, policy) = self.site(&now.policy)?;
        let authenticated = self.warrant.is_authenticated();
        named.check_site(self.warrant.host(), site, http, &policy.sites, authenticated)?;
        let peer = PeerFacts {
            address: self.forwarded.source(),
            certificate: self.certificate.as_ref(),
            visitor_trust: self.forwarded.visitor_trust(),
        };
        let upgrade = headers::rewrite_request(head, &named, &peer, http)?;
        let header = self.forwarded.header(site.proxy(), &head.headers)?;
        let pool = match &last.pool {
            Some((of, pool)) if Arc::ptr_eq(of, site) => pool.clone(),
            Some(_) | None => {
                let pool = self.pools.get(http);
                last.pool = Some((site.clone(), pool.clone()));
                pool
            }
        };
        let timeouts = RequestTimeouts { connect: policy.deadline, answer: http.answer };
        Ok(RequestPlan { pool, upgrade, timeouts, header })
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
            return Err(Denial::Unauthenticated);
        }
        if let Some(site) = found
            && site.accepts_all_of(own)
            && let Some(http) = site.http()
        {
            return Ok((site, http, now));
        }
        let http = own.http().ok_or(Denial::UpstreamUnreachable)?;
        Ok((own, http, &self.accept_policy.policy))
    }

    /// Counts and logs, once for each connection, that the peer sent malformed bytes.
    pub(super) fn record_malformed(&self, denial: Denial) {
        if !self.malformed.swap(true, Relaxed) {
            self.record_denial(denial, None, None);
        }
    }

    fn deny(&self, denial: Denial, open: OpenRequest) -> Response<ResponseBody> {
        // `record_malformed` may have counted this request already.
        let counted = denial == Denial::BadRequest
            && self.stats.fault().is_some()
            && self.malformed.swap(true, Relaxed);
        if !counted {
            self.record_denial(denial, open.ray.as_ref(), open.host.as_deref());
        }
        ResponseBody::denied(denial, open)
    }

    /// Counts and logs the responses whose progress timeout expired. Returns the tasks that send
    /// them.
    pub(super) fn take_stalled(&self) -> Vec<Option<task::Id>> {
        let other_bytes = match self.warrant.protocol() {
            PeerProtocol::Http1 => self.stats.moved().0 + self.stats.moved().1,
            // The bytes of all streams say nothing about one stream.
            PeerProtocol::Http2 => 0,
        };
        let site = self.warrant.site().name();
        let stalled = self.responses.check(other_bytes).into_iter().map(|progress| {
            self.site_counters.denied(Denial::Stalled);
            if self.shared.log_limit.may_log(LogReason::Request(Denial::Stalled)) {
                tracing::info!(
                    site = &**site,
                    peer = %self.warrant.peer(),
                    outcome = Denial::Stalled.name(),
                    cf_ray = progress.ray.as_ref().map(escaped),
                    help = Denial::Stalled.help(),
                    "request aborted",
                );
            }
            progress.task
        });
        stalled.collect()
    }

    fn record_denial(&self, denial: Denial, ray: Option<&HeaderValue>, host: Option<&str>) {
        let site = self.warrant.site().name();
        self.site_counters.denied(denial);
        if !self.shared.log_limit.may_log(LogReason::Request(denial)) {
            return;
        }
        tracing::info!(
            site = &**site,
            peer = %self.warrant.peer(),
            outcome = denial.name(),
            status = denial.status().as_u16(),
            cf_ray = ray.map(escaped),
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
        self.last.lock().ray.as_ref().map(escaped)
    }

    /// Whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Relaxed) > 0
    }

    /// Whether a response has begun and not ended.
    pub(super) fn is_responding(&self) -> bool {
        self.responding.load(Relaxed) > 0
    }

    /// How long the connection has been idle; zero while a request is open.
    pub(super) fn idle_time(&self) -> Duration {
        match self.is_busy() {
            true => Duration::ZERO,
            false => {
                let since = Duration::from_millis(self.idle_since.load(Relaxed));
                self.began.elapsed().saturating_sub(since)
            }
        }
    }

    /// The tunnel that follows HTTP on this connection, if the upstream accepted one with a 101.
    pub(super) fn take_tunnel(&self) -> Option<(OnUpgrade, UpgradedUpstream)> {
        self.tunnel.lock().take()
    }

    pub(super) fn warrant(&self) -> &Warrant {
        &self.warrant
    }
}

/// The host that a refused request names, escaped for the log.
fn named_host(head: &Parts) -> Option<String> {
    let host = head.headers.get(HOST).map(escaped);
    host.or_else(|| Some(printable(head.uri.authority()?.as_str())))
}

fn escaped(value: &HeaderValue) -> String {
    printable(&String::from_utf8_lossy(value.as_bytes()))
}

/// The upstream's response head, cleaned for the peer. hyper sets the HTTP version of the peer's
/// connection.
fn response_for_peer(
    response: Response<()>,
    body: ResponseBody,
    upgrade: Upgrade,
) -> Response<ResponseBody> {
    let (mut head, ()) = response.into_parts();
    headers::rewrite_response(&mut head.headers, upgrade);
    head.version = Version::HTTP_11;
    Response::from_parts(head, body)
}

fn is_websocket(response: &Response<()>) -> bool {
    let upgrade = response.headers().get(UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
