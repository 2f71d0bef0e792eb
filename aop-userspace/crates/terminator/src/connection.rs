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
use aop_tls::{AcceptedPull, Authentication, Permit, Refusal, RefusedConnection};
use aop_types::AddressVerdict;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};

use super::{
    closing::Closing,
    crowd::Place,
    http::{self, Pools, Visitors},
    in_force::InForce,
    ledger::Opened,
    proxy::{self, ProxyAddresses},
    relay::relay,
    service::Shared,
    upstream::{UpstreamStream, connect, lacks_descriptors},
};

/// The time to send a close_notify.
const PARTING: Duration = Duration::from_secs(1);

/// A connection that may be relayed, by the kind of its relay.
enum Admitted {
    Bytes(Permit, UpstreamStream),
    /// Each request connects to the upstream, or reuses a connection.
    Requests(Permit, ProxyAddresses, Visitors),
}

/// The permits that a relayed connection holds.
struct Slot {
    _slot: OwnedSemaphorePermit,
    _half: Half,
}

/// The second permit of an unauthenticated connection. Only half as many of them exist as
/// connection slots, so that enforcing sites always have the other half.
type Half = Option<OwnedSemaphorePermit>;

/// An accepted connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    peer: SocketAddr,
    closing: Closing,
    /// The gate's verdict, once it was asked.
    entrance: Option<AddressVerdict>,
    _open: Opened,
}

/// Serves a connection from `peer`, with `pools` for its requests. The call itself takes the
/// pending slot and the policy in force, before the future is polled.
pub(super) fn attend(
    shared: Arc<Shared>,
    pools: Arc<Pools>,
    stream: net::TcpStream,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let place = shared.crowd.enter(peer.ip(), || shared.book.knows(peer.ip()));
    let (closing, open) = (Closing::new(peer), shared.ledger.open());
    let connection = Connection { peer, closing, entrance: None, _open: open, shared, pools };
    let in_force = connection.shared.in_force.load_full();
    Box::new(connection).run(stream, place, in_force)
}

impl Connection {
    /// Each step except the byte relay is boxed while it runs. Otherwise an idle connection would
    /// keep the memory of its largest step.
    async fn run(
        mut self: Box<Self>,
        stream: net::TcpStream,
        place: Place,
        in_force: Arc<InForce>,
    ) {
        match Box::pin(self.open(stream, place, &in_force)).await {
            Some((_slot, Admitted::Bytes(permit, upstream))) => {
                let cut = in_force.lease(&permit).cut;
                drop(in_force);
                self.count(&permit);
                self.closing.served(&relay(permit, upstream, &cut).await, &self.shared.quiet);
            }
            Some((_slot, Admitted::Requests(permit, ends, visitors))) => {
                self.count(&permit);
                let (shared, pools) = (self.shared.clone(), self.pools.clone());
                let serving = http::serve(permit, ends, visitors, shared, pools, in_force);
                let served = Box::pin(serving).await;
                self.closing.answered(&served, &self.shared.quiet);
            }
            None => {}
        }
    }

    /// Counts a connection that is about to be relayed.
    fn count(&self, permit: &Permit) {
        let (ledger, site) = (&self.shared.ledger, self.closing.site());
        match permit.proof() {
            Authentication::Certificate { .. } => ledger.accepted(site, self.peer.ip()),
            Authentication::Nothing(would) => {
                ledger.observed(site, would, self.peer.ip(), self.entrance)
            }
        }
    }

    /// All steps before the relay. `None`: the connection has ended, and is counted and logged.
    async fn open(
        &mut self,
        stream: net::TcpStream,
        mut place: Place,
        in_force: &InForce,
    ) -> Option<(Slot, Admitted)> {
        let stream = TcpStream::from_std(stream)
            .inspect_err(|error| {
                tracing::error!(%error, "cannot serve an accepted connection: it is dropped");
            })
            .ok()?;
        let local = stream.local_addr();
        let authenticated = tokio::select! {
            biased;
            () = in_force.lease.cut.cancelled() => {
                self.closing.cut();
                return None;
            }
            reason = place.lost() => Err(RefusedConnection::new(reason)),
            done = self.authenticate(stream, &local, in_force) => done,
        };
        let (permit, half) = match authenticated {
            Ok(authenticated) => authenticated,
            Err(refused) => {
                // The connection keeps its pending slot until the peer is notified, and may lose
                // it.
                tokio::select! {
                    _ = in_force.lease.cut.run_until_cancelled(self.refuse(refused)) => {}
                    _ = place.lost() => {}
                }
                return None;
            }
        };
        match permit.proof() {
            Authentication::Certificate { .. } => place.authenticated(),
            // An unauthenticated peer's address is not remembered as known.
            Authentication::Nothing(_) => drop(place),
        }
        let cut = in_force.lease(&permit).cut;
        match cut.run_until_cancelled(self.admit(permit, half, local, in_force)).await {
            Some(Ok(admitted)) => return Some(admitted),
            Some(Err(refused)) => self.refuse(refused).await,
            None => self.closing.cut(),
        }
        None
    }

    /// Counts and logs a refusal, and notifies the peer.
    async fn refuse(&self, mut refused: RefusedConnection) {
        let site = self.closing.site();
        let peer = self.peer.ip();
        self.shared.ledger.refused(site, refused.refusal, peer, self.entrance, now());
        self.closing.refused(&refused, &self.shared.quiet);
        if let Some((stream, protocol)) = refused.take_session() {
            http::explain(stream, protocol, site, refused.refusal, &refused.detail).await;
        }
        refused.farewell().await;
    }

    /// Checks the address, the PROXY header if one is expected, and the certificate. An
    /// unauthenticated peer waits here for its second permit, while it still holds its pending
    /// slot: otherwise nothing would bound the number of waiting peers.
    async fn authenticate(
        &mut self,
        mut stream: TcpStream,
        local: &io::Result<SocketAddr>,
        in_force: &InForce,
    ) -> Result<(Permit, Half), RefusedConnection> {
        // Without a local address no mode override of a port applies.
        let port = local.as_ref().map_or(0, SocketAddr::port);
        let entrance = self.shared.gate.entrance(self.peer.ip(), port);
        self.entrance = Some(entrance);
        match entrance {
            AddressVerdict::Open | AddressVerdict::OnTrial => {}
            AddressVerdict::Watched => self.shared.ledger.would_refuse(),
            AddressVerdict::Shut => return Err(RefusedConnection::new(Refusal::NotAdmitted)),
        }
        let expected =
            |local: &SocketAddr| in_force.policy.senders.expects_header(self.peer.ip(), *local);
        if local.as_ref().is_ok_and(expected) {
            let ends;
            (stream, ends) = proxy::receive(stream, self.deadline(in_force)).await?;
            if let Some(ends) = ends {
                self.closing.carry(ends);
            }
        }
        let sites = &in_force.policy.sites;
        let accepted = aop_tls::accept(stream, self.peer, sites, self.deadline(in_force))
            .await
            .inspect_err(|refused| self.closing.know_site(refused.site.as_ref()))?;
        match accepted {
            AcceptedPull::Proven(pull) => {
                self.closing.know(&pull);
                Ok((aop_tls::authorize(*pull)?, None))
            }
            AcceptedPull::Unproven(observed) => {
                self.closing.know_site(Some(observed.site()));
                // The site may have stopped observing during the handshake.
                if !self.observes(observed.host()) {
                    return Err(observed.refused());
                }
                self.closing.observe(observed.would());
                let permit = aop_tls::permit_unauthenticated(*observed)?;
                let half = self.shared.unproven.clone().acquire_owned();
                match timeout_at(self.deadline(in_force), half).await {
                    Ok(Ok(half)) => Ok((permit, Some(half))),
                    Ok(Err(_)) | Err(_) => Err(part(permit, Refusal::NoSlot, String::new()).await),
                }
            }
        }
    }

    /// Takes a connection slot and, for a byte relay, connects to the upstream.
    async fn admit(
        &self,
        permit: Permit,
        half: Half,
        local: io::Result<SocketAddr>,
        in_force: &InForce,
    ) -> Result<(Slot, Admitted), RefusedConnection> {
        if let Authentication::Certificate { identity, voucher } = permit.proof() {
            self.shared.book.record(self.peer.ip(), self.closing.site());
            let (ledger, site) = (&self.shared.ledger, self.closing.site());
            ledger.authenticated(site, identity, voucher.as_ref(), now());
        }
        let deadline = self.deadline(in_force);
        let slot = self.shared.slots.clone().acquire_owned();
        let Ok(Ok(slot)) = timeout_at(deadline, slot).await else {
            return Err(part(permit, Refusal::NoSlot, String::new()).await);
        };
        let slot = Slot { _slot: slot, _half: half };
        // The site may have stopped observing while this connection waited for its slot.
        if let Authentication::Nothing(would) = permit.proof()
            && !self.observes(permit.host())
        {
            let (refusal, detail) = (would.refusal, would.detail.clone());
            return Err(part(permit, refusal, detail).await);
        }
        let site = permit.site();
        let ends = match self.ends(local) {
            Ok(ends) => ends,
            Err(error) => return Err(part(permit, Refusal::PeerGone, error.to_string()).await),
        };
        let Upstream::Bytes(address) = site.upstream() else {
            let visitors = self.visitors(&permit, &ends);
            return Ok((slot, Admitted::Requests(permit, ends, visitors)));
        };
        let header = match site.proxy() {
            ProxyProtocol::Off => Ok(Vec::new()),
            proxy @ (ProxyProtocol::V1 | ProxyProtocol::V2(_)) => {
                proxy::header(proxy, &ends, &permit.handshake())
            }
        };
        let header = match header {
            Ok(header) => header,
            Err(error) => return Err(part(permit, Refusal::ProxyTooLong, error.to_string()).await),
        };
        match self.reach_upstream(address, &header, deadline).await {
            Ok(upstream) => Ok((slot, Admitted::Bytes(permit, upstream))),
            Err((refusal, detail)) => Err(part(permit, refusal, detail).await),
        }
    }

    /// Whether to believe the visitors that requests name. An unauthenticated peer is believed only
    /// if its address is admitted: before an edge presents certificates, only its address
    /// distinguishes it. Behind a sender of PROXY headers the source address in the header counts,
    /// because the sender's own address says nothing about the peer.
    fn visitors(&self, permit: &Permit, ends: &ProxyAddresses) -> Visitors {
        let admitted = || {
            let (address, port) = (ends.source.ip().to_canonical(), ends.destination.port());
            self.shared.gate.entrance(address, port) == AddressVerdict::Open
        };
        match permit.proof() {
            Authentication::Certificate { .. } => Visitors::Believed,
            Authentication::Nothing(_) if admitted() => Visitors::Believed,
            Authentication::Nothing(_) => Visitors::Unknown,
        }
    }

    /// Whether the site of `host` observes now.
    fn observes(&self, host: &Host) -> bool {
        let now = self.shared.in_force.load();
        now.policy.sites.find(host).is_some_and(|site| site.observes())
    }

    fn deadline(&self, in_force: &InForce) -> Instant {
        self.closing.started() + in_force.policy.deadline
    }

    /// The source and destination addresses of the connection.
    fn ends(&self, local: io::Result<SocketAddr>) -> io::Result<ProxyAddresses> {
        if let Some(ends) = self.closing.carried() {
            return Ok(ends);
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
        let (refusal, why) = match timeout_at(deadline, connect(upstream, header)).await {
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
async fn part(permit: Permit, refusal: Refusal, detail: String) -> RefusedConnection {
    let refused = RefusedConnection::new(refusal).at(permit.site()).because(detail);
    let (mut stream, _) = permit.into_parts();
    match timeout(PARTING, stream.shutdown()).await {
        Ok(Ok(())) => refused.on(aop_tls::socket(stream)),
        Ok(Err(_)) | Err(_) => refused,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    aop_types::unix_seconds()
}
