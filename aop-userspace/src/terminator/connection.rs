//! One connection, from its place in the crowd to its closing line.
//!
//! Address, certificate, slot, upstream, in this order, all before one deadline; then the relay.
//! Whatever happens ends in one counter of the ledger and in one line of the log.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};

use super::{
    closing::Closing,
    crowd::Place,
    http,
    ledger::Opened,
    relay::relay,
    service::{InForce, Shared},
    upstream::{Connected, connect, lacks_descriptors},
};
use crate::{
    config::{Address, ProxyProtocol, Upstream},
    edge::Entrance,
    tls::{self, Permit, Refusal, Refused},
};

/// How long a close_notify may take to leave.
const PARTING: Duration = Duration::from_secs(1);

/// A connection that may be relayed, and how.
enum Admitted {
    Bytes(Permit, Connected),
    /// The upstream is connected to when there is a request for it.
    Requests(Permit),
}

/// An accepted connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    closing: Closing,
    /// What the gate said, once it was asked.
    entrance: Option<Entrance>,
    _open: Opened,
}

/// Sees to a connection from `peer`. It has its place in the crowd before this is polled.
pub(super) fn attend(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let place = shared.crowd.enter(peer.ip(), || shared.book.knows(peer.ip()));
    let (closing, open) = (Closing::new(peer), shared.ledger.open());
    let connection = Connection { peer, closing, entrance: None, _open: open, shared };
    connection.run(stream, place)
}

impl Connection {
    /// Every part but the relay of bytes is on the heap while it lasts, and no longer: else a
    /// connection would be as large as its largest part for as long as it is idle.
    async fn run(mut self, stream: TcpStream, mut place: Place) {
        let in_force = self.shared.in_force.load_full();
        let cut = in_force.cut.clone();
        let local = stream.local_addr();
        let authenticated = tokio::select! {
            biased;
            () = cut.cancelled() => return self.closing.cut(),
            reason = place.lost() => Err(Refused::new(reason)),
            done = Box::pin(self.authenticate(stream, &local, &in_force)) => done,
        };
        let permit = match authenticated {
            Ok(permit) => permit,
            Err(refused) => {
                // Until all is said it has its place, and may lose it.
                let refusing = cut.run_until_cancelled(Box::pin(self.refuse(refused)));
                tokio::select! {
                    _ = refusing => {}
                    _ = place.lost() => {}
                }
                return;
            }
        };
        place.authenticated();
        let admitting = Box::pin(self.admit(permit, local, &in_force));
        match cut.run_until_cancelled(admitting).await {
            Some(Ok((_slot, Admitted::Bytes(permit, upstream)))) => {
                drop(in_force);
                self.shared.ledger.accepted();
                self.closing.served(&relay(permit, upstream, &cut).await);
            }
            Some(Ok((_slot, Admitted::Requests(permit)))) => {
                self.shared.ledger.accepted();
                let served = Box::pin(http::serve(permit, self.shared.clone(), in_force)).await;
                self.closing.answered(&served);
            }
            Some(Err(refused)) => Box::pin(self.refuse(refused)).await,
            None => self.closing.cut(),
        }
    }

    /// Books and logs a refusal, and lets the peer know.
    async fn refuse(&self, mut refused: Refused) {
        let site = self.closing.site();
        self.shared.ledger.refused(site, refused.refusal, self.entrance);
        self.closing.refused(&refused, &self.shared.quiet);
        if let Some((stream, protocol)) = refused.take_session() {
            http::explain(stream, protocol, site, refused.refusal, &refused.detail).await;
        }
        refused.farewell().await;
    }

    /// Address and certificate.
    async fn authenticate(
        &mut self,
        stream: TcpStream,
        local: &io::Result<SocketAddr>,
        in_force: &InForce,
    ) -> Result<Permit, Refused> {
        // Where the kernel does not tell, no port's own mode counts.
        let port = local.as_ref().map_or(0, SocketAddr::port);
        let entrance = self.shared.gate.entrance(self.peer.ip(), port);
        self.entrance = Some(entrance);
        match entrance {
            Entrance::Open | Entrance::OnTrial => {}
            Entrance::Watched => self.shared.ledger.would_refuse(),
            Entrance::Shut => return Err(Refused::new(Refusal::NotAdmitted)),
        }
        let pull = tls::accept(stream, self.peer, &in_force.policy.sites, self.deadline(in_force))
            .await
            .inspect_err(|refused| self.closing.know_site(refused.site.as_ref()))?;
        self.closing.know(&pull);
        tls::authorize(pull)
    }

    /// A slot, and the upstream where it takes bytes.
    async fn admit(
        &self,
        permit: Permit,
        local: io::Result<SocketAddr>,
        in_force: &InForce,
    ) -> Result<(OwnedSemaphorePermit, Admitted), Refused> {
        self.shared.book.record(self.peer.ip(), self.closing.site());
        let pull = permit.pull();
        let (identity, voucher) = (pull.identity(), pull.voucher());
        self.shared.ledger.authenticated(self.closing.site(), identity, voucher, now());
        let deadline = self.deadline(in_force);
        let slot = timeout_at(deadline, self.shared.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(part(permit, Refusal::NoSlot, String::new()).await);
        };
        let site = permit.pull().site();
        let Upstream::Bytes(address) = site.upstream() else {
            return Ok((slot, Admitted::Requests(permit)));
        };
        match self.reach_upstream(address, site.proxy(), local, deadline).await {
            Ok(upstream) => Ok((slot, Admitted::Bytes(permit, upstream))),
            Err((refusal, detail)) => Err(part(permit, refusal, detail).await),
        }
    }

    fn deadline(&self, in_force: &InForce) -> Instant {
        self.closing.started() + in_force.policy.deadline
    }

    async fn reach_upstream(
        &self,
        upstream: &Address,
        proxy: ProxyProtocol,
        local: io::Result<SocketAddr>,
        deadline: Instant,
    ) -> Result<Connected, (Refusal, String)> {
        let connecting = async {
            let local = local?;
            let local = SocketAddr::new(local.ip().to_canonical(), local.port());
            connect(upstream, proxy, self.peer, local).await
        };
        let (refusal, why) = match timeout_at(deadline, connecting).await {
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

/// Ends a permitted pull that cannot be relayed, in order, as far as TLS is concerned.
async fn part(permit: Permit, refusal: Refusal, detail: String) -> Refused {
    let refused = Refused::new(refusal).at(permit.pull().site()).because(detail);
    let (mut stream, _) = permit.into_parts();
    match timeout(PARTING, stream.shutdown()).await {
        Ok(Ok(())) => refused.on(stream.into_inner().0),
        Ok(Err(_)) | Err(_) => refused,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or(0)
}
