//! WebSocket: after the upstream's 101, the connection is a tunnel of bytes.

use aop_tls::Warrant;
use hyper::{body::Bytes, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, sync::OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::checked_stream::CheckedStream;
use crate::{
    relay::{Ending, RelayOutcome, relay_upgraded},
    upstream::UpstreamStream,
};

/// The upstream's side of a tunnel.
pub(super) struct UpgradedUpstream {
    pub(super) stream: UpstreamStream,
    /// The bytes after its 101.
    pub(super) read: Bytes,
    /// The permit of its request, held for the life of the tunnel.
    pub(super) slot: OwnedSemaphorePermit,
}

/// Waits until hyper releases the peer's stream, then relays bytes between peer and upstream.
pub(super) async fn relay_tunnel(
    warrant: &Warrant,
    upgrade: OnUpgrade,
    tunnel: UpgradedUpstream,
    cut: &CancellationToken,
) -> RelayOutcome {
    let lost = RelayOutcome { bytes_in: 0, bytes_out: 0, ending: Ending::PeerLost };
    let UpgradedUpstream { stream: mut upstream, read: said, slot: _slot } = tunnel;
    let Ok(upgraded) = upgrade.await else { return lost };
    let Ok(parts) = upgraded.downcast::<TokioIo<CheckedStream>>() else { return lost };
    let mut peer = parts.io.into_inner().into_stream();
    let handing_over = async {
        peer.write_all(&said).await?;
        peer.flush().await?;
        upstream.write_all(&parts.read_buf).await
    };
    match cut.run_until_cancelled(handing_over).await {
        Some(Ok(())) => relay_upgraded(warrant, peer, upstream, cut).await,
        Some(Err(_)) => lost,
        None => RelayOutcome { ending: Ending::Cut, ..lost },
    }
}
