//! WebSocket: once the upstream has said 101, the connection is a tunnel of bytes.

use aop_tls::Warrant;
use hyper::{body::Bytes, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, sync::OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::wire::Wire;
use crate::{
    relay::{Ending, Relayed, carry},
    upstream::Connected,
};

/// The upstream's end of a tunnel.
pub(super) struct Tunnel {
    pub(super) stream: Connected,
    /// What it said behind its 101.
    pub(super) read: Bytes,
    /// Its place among the requests of the upstream.
    pub(super) slot: OwnedSemaphorePermit,
}

/// Carries bytes between the peer, once HTTP lets go of it, and the upstream, to their end.
pub(super) async fn tunnel(
    warrant: &Warrant,
    upgrade: OnUpgrade,
    tunnel: Tunnel,
    cut: &CancellationToken,
) -> Relayed {
    let lost = Relayed { bytes_in: 0, bytes_out: 0, ending: Ending::PeerLost };
    let Tunnel { stream: mut upstream, read: said, slot: _slot } = tunnel;
    let Ok(upgraded) = upgrade.await else { return lost };
    let Ok(parts) = upgraded.downcast::<TokioIo<Wire>>() else { return lost };
    let mut peer = parts.io.into_inner().into_stream();
    let handing_over = async {
        peer.write_all(&said).await?;
        peer.flush().await?;
        upstream.write_all(&parts.read_buf).await
    };
    match cut.run_until_cancelled(handing_over).await {
        Some(Ok(())) => carry(warrant, peer, upstream, cut).await,
        Some(Err(_)) => lost,
        None => Relayed { ending: Ending::Cut, ..lost },
    }
}
