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
    ledger::Opened,
    relay::relay,
    service::{InForce, Shared},
    upstream::{Connected, connect},
};
use crate::{
    edge::Entrance,
    tls::{self, Permit, Refusal, Refused},
};

/// How long a close_notify may take to leave.
const PARTING: Duration = Duration::from_secs(1);

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
        match cut.run_until_cancelled(self.admit(stream, in_force)).await {
            Some(Ok((permit, upstream))) => {
                self.shared.ledger.accepted();
                let relayed = match upstream {
                    Connected::Tcp(upstream) => relay(permit, upstream, &cut).await,
                    Connected::Unix(upstream) => relay(permit, upstream, &cut).await,
                };
                self.closing.served(&relayed);
            }
            Some(Err(refused)) => {
                self.shared.ledger.refused(self.closing.site(), refused.refusal);
                self.closing.refused(&refused);
                refused.farewell().await;
            }
            None => self.closing.cut(),
        }
    }

    async fn admit(
        &mut self,
        stream: TcpStream,
        in_force: Arc<InForce>,
    ) -> Result<(Permit, Connected), Refused> {
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
        drop(in_force);
        self.closing.know(&pull);
        let permit = tls::authorize(pull)?;
        self.shared.book.record(self.peer.ip(), self.closing.site());
        let pull = permit.pull();
        let (identity, voucher) = (pull.identity(), pull.voucher());
        self.shared.ledger.authenticated(self.closing.site(), identity, voucher, now());
        match self.reach_upstream(&permit, local, deadline).await {
            Ok(upstream) => Ok((permit, upstream)),
            Err(detail) => Err(part(permit, Refusal::UpstreamUnreachable, detail).await),
        }
    }

    async fn reach_upstream(
        &self,
        permit: &Permit,
        local: io::Result<SocketAddr>,
        deadline: Instant,
    ) -> Result<Connected, String> {
        let site = permit.pull().site();
        let connecting = async {
            let local = local?;
            let local = SocketAddr::new(local.ip().to_canonical(), local.port());
            connect(site, self.peer, local).await
        };
        match timeout_at(deadline, connecting).await {
            Ok(Ok(upstream)) => Ok(upstream),
            Ok(Err(error)) => Err(format!("{}: {error}", site.upstream())),
            Err(_) => Err(format!("{}: no answer before the deadline", site.upstream())),
        }
    }
}

/// Ends a permitted pull that cannot be relayed, in order, as far as TLS is concerned.
async fn part(permit: Permit, refusal: Refusal, detail: String) -> Refused {
    let refused = Refused::new(refusal).at(permit.pull().site()).because(detail);
    let mut stream = permit.into_stream();
    match timeout(PARTING, stream.shutdown()).await {
        Ok(Ok(())) => refused.on(stream.into_inner().0),
        Ok(Err(_)) | Err(_) => refused,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or(0)
}
