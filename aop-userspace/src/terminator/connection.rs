//! One connection, from its slot to its closing line.
//!
//! Address, certificate, upstream, in this order, all before one deadline; then the relay. Whatever
//! happens ends in one counter of the ledger and in one line of the log.

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
    http,
    ledger::Opened,
    relay::relay,
    service::{InForce, Shared},
    upstream::{Connected, connect},
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

/// An accepted connection. Its slot is free again when this is dropped.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    closing: Closing,
    _open: Opened,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, peer: SocketAddr, slot: OwnedSemaphorePermit) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { peer, closing: Closing::new(peer), _open: shared.ledger.open(), _slot: slot, shared }
    }

    pub(super) async fn run(mut self, stream: TcpStream) {
        let in_force = self.shared.in_force.load_full();
        let cut = in_force.cut.clone();
        match cut.run_until_cancelled(self.admit(stream, &in_force)).await {
            Some(Ok(Admitted::Bytes(permit, upstream))) => {
                drop(in_force);
                self.shared.ledger.accepted();
                self.closing.served(&relay(permit, upstream, &cut).await);
            }
            Some(Ok(Admitted::Requests(permit))) => {
                self.shared.ledger.accepted();
                let served = http::serve(permit, self.shared.clone(), in_force).await;
                self.closing.answered(&served);
            }
            Some(Err(mut refused)) => {
                self.shared.ledger.refused(self.closing.site(), refused.refusal);
                self.closing.refused(&refused);
                if let Some((stream, protocol)) = refused.take_session() {
                    let told =
                        http::explain(stream, protocol, self.closing.site(), refused.refusal);
                    cut.run_until_cancelled(told).await;
                }
                refused.farewell().await;
            }
            None => self.closing.cut(),
        }
    }

    async fn admit(&mut self, stream: TcpStream, in_force: &InForce) -> Result<Admitted, Refused> {
        let policy = &in_force.policy;
        let deadline = self.closing.started() + policy.deadline;
        let local = stream.local_addr();
        // Where the kernel does not tell, no port's own mode counts.
        let port = local.as_ref().map_or(0, SocketAddr::port);
        match self.shared.gate.entrance(self.peer.ip(), port) {
            Entrance::Open => {}
            Entrance::Watched => self.shared.ledger.would_refuse(),
            Entrance::Shut => return Err(Refused::new(Refusal::NotAdmitted)),
        }
        let pull = tls::accept(stream, self.peer, &policy.sites, deadline)
            .await
            .inspect_err(|refused| self.closing.know_site(refused.site.as_ref()))?;
        self.closing.know(&pull);
        let permit = tls::authorize(pull)?;
        self.shared.book.record(self.peer.ip(), self.closing.site());
        let pull = permit.pull();
        let (identity, voucher) = (pull.identity(), pull.voucher());
        self.shared.ledger.authenticated(self.closing.site(), identity, voucher, now());
        let site = pull.site();
        let Upstream::Bytes(address) = site.upstream() else {
            return Ok(Admitted::Requests(permit));
        };
        match self.reach_upstream(address, site.proxy(), local, deadline).await {
            Ok(upstream) => Ok(Admitted::Bytes(permit, upstream)),
            Err(detail) => Err(part(permit, Refusal::UpstreamUnreachable, detail).await),
        }
    }

    async fn reach_upstream(
        &self,
        upstream: &Address,
        proxy: ProxyProtocol,
        local: io::Result<SocketAddr>,
        deadline: Instant,
    ) -> Result<Connected, String> {
        let connecting = async {
            let local = local?;
            let local = SocketAddr::new(local.ip().to_canonical(), local.port());
            connect(upstream, proxy, self.peer, local).await
        };
        match timeout_at(deadline, connecting).await {
            Ok(Ok(upstream)) => Ok(upstream),
            Ok(Err(error)) => Err(format!("{}: {error}", Upstream::Bytes(upstream.clone()))),
            Err(_) => {
                let upstream = Upstream::Bytes(upstream.clone());
                Err(format!("{upstream}: no answer before the deadline"))
            }
        }
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
