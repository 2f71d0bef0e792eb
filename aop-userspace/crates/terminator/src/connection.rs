//! One connection, from its pending slot to its closing line.
//!
//! The steps are address, certificate, connection slot and upstream, in this order and within one
//! deadline; then the relay. Each outcome adds to exactly one counter and logs one line.

use std::{
    io,
    net::{self, SocketAddr},
    sync::Arc,
    time::Duration,
};

use aop_config::{Host, ProxyProtocol, Upstream, UpstreamAddress};
use aop_tls::{AcceptedPull, Authentication, Permit, Refusal, RefusedConnection, Site};
use aop_types::{AddressVerdict, unix_seconds};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};

use super::{
    accept_policy::AcceptPolicy,
    closing_line::ClosingLine,
    counters::{OpenConnection, SiteCounters},
    http::{self, Pools, VisitorTrust},
    pending_handshakes::PendingSlot,
    proxy::{self, ProxyAddresses},
    relay::relay,
    service::Shared,
    upstream::{UpstreamStream, connect_with_header, lacks_descriptors},
};

/// The time to send a close_notify.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that may be relayed, by the kind of its relay.
enum ReadyRelay {
    Bytes(Permit, UpstreamStream),
    /// Each request connects to the upstream, or reuses a connection.
    Requests(Permit, ProxyAddresses, VisitorTrust),
}

/// The permits that a relayed connection holds.
struct ConnectionSlot {
    _slot: OwnedSemaphorePermit,
    _unauthenticated: UnauthenticatedSlot,
}

/// The second permit of an unauthenticated connection. Only half as many of them exist as
/// connection slots, so that enforcing sites always have the other half.
type UnauthenticatedSlot = Option<OwnedSemaphorePermit>;

/// An accepted connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    peer: SocketAddr,
    closing_line: ClosingLine,
    /// The counters of its site, or of `-`.
    site: Arc<SiteCounters>,
    /// The gate's verdict, once it was asked.
    verdict: Option<AddressVerdict>,
    _open: OpenConnection,
}

/// Serves a connection from `peer`, with `pools` for its requests. The call itself takes the
/// pending slot and the policy in force, before the future is polled.
pub(super) fn serve_connection(
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    stream: net::TcpStream,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let pending = shared.pending.acquire(peer.ip(), || shared.peers.contains(peer.ip()));
    let (closing_line, open) = (ClosingLine::new(peer), shared.counters.open());
    let site = shared.counters.no_site().clone();
    let connection =
        Connection { peer, closing_line, site, verdict: None, _open: open, shared, pools };
    let accept_policy = connection.shared.accept_policy.load_full();
    Box::new(connection).run(stream, pending, accept_policy)
}

impl Connection {
    /// Each step is boxed while it runs. Otherwise an idle connection would keep the memory of its
    /// largest step.
    async fn run(
        mut self: Box<Self>,
        stream: net::TcpStream,
        pending: PendingSlot,
        accept_policy: Arc<AcceptPolicy>,
    ) {
        match Box::pin(self.open(stream, pending, &accept_policy)).await {
            // The relay must not hold the policy: it contains all sites.
            Some((_slot, ReadyRelay::Bytes(permit, upstream))) => {
                let cut = accept_policy.tokens(&permit).cut;
                drop(accept_policy);
                self.record_relayed(&permit);
                let relayed = Box::pin(relay(permit, upstream, &cut)).await;
                self.closing_line.log_bytes(&relayed, &self.shared.log_limit);
            }
            Some((_slot, ReadyRelay::Requests(permit, addresses, visitor_trust))) => {
                let tokens = accept_policy.tokens(&permit);
                drop(accept_policy);
                self.record_relayed(&permit);
                let (shared, pools) = (self.shared.clone(), self.pools.clone());
                let site = self.site.clone();
                let serving =
                    http::serve(permit, addresses, visitor_trust, shared, pools, site, tokens);
                let served = Box::pin(serving).await;
                self.closing_line.log_http(&served, &self.shared.log_limit);
            }
            None => {}
        }
    }

    /// Counts a connection that is about to be relayed.
    fn record_relayed(&self, permit: &Permit) {
        let peer = self.peer.ip();
        match permit.authentication() {
            Authentication::Certificate { .. } => self.shared.counters.accepted(&self.site, peer),
            Authentication::None(would) => self.site.observed(would, peer, self.verdict),
        }
    }

    /// All steps before the relay. `None`: the connection has ended, and is counted and logged.
    async fn open(
        &mut self,
        stream: net::TcpStream,
        mut pending: PendingSlot,
        accept_policy: &AcceptPolicy,
    ) -> Option<(ConnectionSlot, ReadyRelay)> {
        let stream = TcpStream::from_std(stream)
            .inspect_err(|error| {
                tracing::error!(%error, "cannot serve an accepted connection: it is dropped");
            })
            .ok()?;
        let local = stream.local_addr();
        let authenticated = tokio::select! {
            biased;
            () = accept_policy.tokens.cut.cancelled() => {
                self.closing_line.log_cut();
                return None;
            }
            reason = pending.evicted() => Err(RefusedConnection::new(reason)),
            done = self.authenticate(stream, &local, accept_policy) => done,
        };
        let (permit, unauthenticated_slot) = match authenticated {
            Ok(authenticated) => authenticated,
            Err(refused) => {
                // The connection keeps its pending slot until the peer is notified, and may lose
                // it.
                tokio::select! {
                    _ = accept_policy.tokens.cut.run_until_cancelled(self.refuse(refused)) => {}
                    _ = pending.evicted() => {}
                }
                return None;
            }
        };
        if !self.is_still_trusted(&permit, accept_policy) {
            // Nothing of it is recorded or relayed. Its next connection meets the new policy.
            self.closing_line.log_cut();
            return None;
        }
        match permit.authentication() {
            Authentication::Certificate { .. } => pending.authenticated(),
            // An unauthenticated peer's address is not remembered as known.
            Authentication::None(_) => drop(pending),
        }
        let cut = accept_policy.tokens(&permit).cut;
        let admitting = self.admit(permit, unauthenticated_slot, local, accept_policy);
        match cut.run_until_cancelled(admitting).await {
            Some(Ok(ready)) => return Some(ready),
            Some(Err(refused)) => self.refuse(refused).await,
            None => self.closing_line.log_cut(),
        }
        None
    }

    /// Counts and logs a refusal, and notifies the peer.
    async fn refuse(&self, mut refused: RefusedConnection) {
        let (site, peer) = (&self.site, self.peer.ip());
        self.shared.counters.refused(site, refused.refusal, peer, self.verdict, unix_seconds());
        self.closing_line.log_refused(&refused, &self.shared.log_limit);
        if let Some((stream, protocol)) = refused.take_session() {
            http::explain_refusal(stream, protocol, site.site(), refused.refusal, &refused.detail)
                .await;
        }
        refused.close().await;
    }

    /// Checks the address, the PROXY header if one is expected, and the certificate. An
    /// unauthenticated peer waits here for its second permit, while it still holds its pending
    /// slot: otherwise nothing would bound the number of waiting peers.
    async fn authenticate(
        &mut self,
        mut stream: TcpStream,
        local: &io::Result<SocketAddr>,
        accept_policy: &AcceptPolicy,
    ) -> Result<(Permit, UnauthenticatedSlot), RefusedConnection> {
        // Without a local address no mode override of a port applies.
        let port = local.as_ref().map_or(0, SocketAddr::port);
        let verdict = self.shared.gate.check(self.peer.ip(), port);
        self.verdict = Some(verdict);
        match verdict {
            AddressVerdict::Admitted | AddressVerdict::Probation => {}
            AddressVerdict::Observed => self.shared.counters.would_refuse(),
            AddressVerdict::Refused => return Err(RefusedConnection::new(Refusal::NotAdmitted)),
        }
        let expected = |local: &SocketAddr| {
            accept_policy.policy.senders.expects_header(self.peer.ip(), *local)
        };
        if local.as_ref().is_ok_and(expected) {
            let addresses;
            (stream, addresses) = proxy::receive(stream, self.deadline(accept_policy)).await?;
            if let Some(addresses) = addresses {
                self.closing_line.set_proxy_addresses(addresses);
            }
        }
        let sites = &accept_policy.policy.sites;
        let accepted = aop_tls::accept(stream, self.peer, sites, self.deadline(accept_policy))
            .await
            .inspect_err(|refused| {
                if let Some(site) = &refused.site {
                    self.set_site(site, accept_policy);
                }
            })?;
        match accepted {
            AcceptedPull::Authenticated(pull) => {
                self.set_site(pull.site(), accept_policy);
                self.closing_line.set_pull(&pull);
                Ok((aop_tls::authorize(*pull)?, None))
            }
            AcceptedPull::Unauthenticated(observed) => {
                self.set_site(observed.site(), accept_policy);
                // The site may have stopped observing during the handshake.
                if !self.observes(observed.host()) {
                    return Err(observed.into_refused());
                }
                self.closing_line.set_would_refuse(observed.would_refuse());
                let permit = aop_tls::permit_unauthenticated(*observed)?;
                let slot = self.shared.unauthenticated_slots.clone().acquire_owned();
                match timeout_at(self.deadline(accept_policy), slot).await {
                    Ok(Ok(slot)) => Ok((permit, Some(slot))),
                    Ok(Err(_)) | Err(_) => {
                        Err(refuse_permitted(permit, Refusal::NoSlot, String::new()).await)
                    }
                }
            }
        }
    }

    /// Takes a connection slot and, for a byte relay, connects to the upstream.
    async fn admit(
        &self,
        permit: Permit,
        unauthenticated_slot: UnauthenticatedSlot,
        local: io::Result<SocketAddr>,
        accept_policy: &AcceptPolicy,
    ) -> Result<(ConnectionSlot, ReadyRelay), RefusedConnection> {
        if let Authentication::Certificate { identity, issuing_ca } = permit.authentication() {
            self.shared.peers.record(self.peer.ip(), self.site.site());
            self.site.authenticated(identity, issuing_ca.as_ref(), unix_seconds());
        }
        let deadline = self.deadline(accept_policy);
        let slot = self.shared.slots.clone().acquire_owned();
        let Ok(Ok(slot)) = timeout_at(deadline, slot).await else {
            return Err(refuse_permitted(permit, Refusal::NoSlot, String::new()).await);
        };
        let slot = ConnectionSlot { _slot: slot, _unauthenticated: unauthenticated_slot };
        // The site may have stopped observing while this connection waited for its slot.
        if let Authentication::None(would) = permit.authentication()
            && !self.observes(permit.host())
        {
            let (refusal, detail) = (would.refusal, would.detail.clone());
            return Err(refuse_permitted(permit, refusal, detail).await);
        }
        let site = permit.site();
        let addresses = match self.addresses(local) {
            Ok(addresses) => addresses,
            Err(error) => {
                return Err(refuse_permitted(permit, Refusal::PeerGone, error.to_string()).await);
            }
        };
        let Upstream::Bytes(address) = site.upstream() else {
            let visitor_trust = self.visitor_trust(&permit, &addresses);
            return Ok((slot, ReadyRelay::Requests(permit, addresses, visitor_trust)));
        };
        let header = match site.proxy() {
            ProxyProtocol::Off => Ok(Vec::new()),
            proxy @ (ProxyProtocol::V1 | ProxyProtocol::V2(_)) => {
                proxy::header(proxy, &addresses, &permit.handshake())
            }
        };
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                return Err(
                    refuse_permitted(permit, Refusal::ProxyTooLong, error.to_string()).await
                );
            }
        };
        match self.reach_upstream(address, &header, deadline).await {
            Ok(upstream) => Ok((slot, ReadyRelay::Bytes(permit, upstream))),
            Err((refusal, detail)) => Err(refuse_permitted(permit, refusal, detail).await),
        }
    }

    /// Whether to believe the visitors that requests name. An unauthenticated peer is believed only
    /// if its address is admitted: before an edge presents certificates, only its address
    /// distinguishes it. Behind a sender of PROXY headers the source address in the header counts,
    /// because the sender's own address says nothing about the peer.
    fn visitor_trust(&self, permit: &Permit, addresses: &ProxyAddresses) -> VisitorTrust {
        let admitted = || {
            let (address, port) =
                (addresses.source.ip().to_canonical(), addresses.destination.port());
            self.shared.gate.check(address, port) == AddressVerdict::Admitted
        };
        match permit.authentication() {
            Authentication::Certificate { .. } => VisitorTrust::Trusted,
            Authentication::None(_) if admitted() => VisitorTrust::Trusted,
            Authentication::None(_) => VisitorTrust::Untrusted,
        }
    }

    /// From now on the connection is one of `site`, which is a site of `accept_policy`.
    fn set_site(&mut self, site: &Site, accept_policy: &AcceptPolicy) {
        self.closing_line.set_site(site.name());
        self.site = accept_policy.counters(site.name(), &self.shared.counters);
    }

    /// Whether the policy of now trusts the peer, as `accept_policy` did when it judged the
    /// handshake. A reload may have withdrawn trust meanwhile.
    fn is_still_trusted(&self, permit: &Permit, accept_policy: &AcceptPolicy) -> bool {
        let now = self.shared.accept_policy.load();
        if std::ptr::eq(&**now, accept_policy) {
            return true;
        }
        let site = now.policy.sites.find(permit.host());
        match permit.authentication() {
            Authentication::Certificate { .. } => {
                site.is_some_and(|site| permit.certificate_is_accepted_by(site))
            }
            // `admit` refuses these for their own reason.
            Authentication::None(_) => true,
        }
    }

    /// Whether the site of `host` observes now.
    fn observes(&self, host: &Host) -> bool {
        let now = self.shared.accept_policy.load();
        now.policy.sites.find(host).is_some_and(|site| site.observes())
    }

    fn deadline(&self, accept_policy: &AcceptPolicy) -> Instant {
        self.closing_line.started() + accept_policy.policy.deadline
    }

    /// The source and destination addresses of the connection.
    fn addresses(&self, local: io::Result<SocketAddr>) -> io::Result<ProxyAddresses> {
        if let Some(addresses) = self.closing_line.proxy_addresses() {
            return Ok(addresses);
        }
        let local = local?;
        let destination = SocketAddr::new(local.ip().to_canonical(), local.port());
        Ok(ProxyAddresses { source: self.peer, destination })
    }

    async fn reach_upstream(
        &self,
        upstream: &UpstreamAddress,
        header: &[u8],
        deadline: Instant,
    ) -> Result<UpstreamStream, (Refusal, String)> {
        let (refusal, why) = match timeout_at(deadline, connect_with_header(upstream, header)).await
        {
            Ok(Ok(upstream)) => return Ok(upstream),
            Ok(Err(error)) if lacks_descriptors(&error) => {
                (Refusal::NoDescriptor, error.to_string())
            }
            Ok(Err(error)) => (Refusal::UpstreamUnreachable, error.to_string()),
            Err(_) => (Refusal::UpstreamUnreachable, "no answer before the deadline".to_owned()),
        };
        Err((refusal, format!("{}: {why}", Upstream::Bytes(upstream.clone()))))
    }
}

/// Ends a permitted pull that cannot be relayed, with a close_notify.
async fn refuse_permitted(permit: Permit, refusal: Refusal, detail: String) -> RefusedConnection {
    let refused = RefusedConnection::new(refusal).with_site(permit.site()).with_detail(detail);
    let (mut stream, _) = permit.into_parts();
    match timeout(CLOSE_TIMEOUT, stream.shutdown()).await {
        Ok(Ok(())) => refused.with_stream(aop_tls::into_tcp(stream)),
        Ok(Err(_)) | Err(_) => refused,
    }
}
