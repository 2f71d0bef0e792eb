//! Origin pulls over a socket, with both of their ends.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use aop_config::{Host, SiteConfig};
use rustls::ClientConfig;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

use super::TestSite;
use crate::{
    AcceptedPull, OriginPull, Permit, RefusedConnection, Site, SiteFiles, Sites, accept, authorize,
    testing::{BOTH, Leaf, client, connect_over},
};

/// A deadline that no test reaches.
pub(super) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(super) fn sites(files: &TestSite) -> Sites {
    Sites::build(std::slice::from_ref(&files.config), &SiteFiles::on_disk()).unwrap().0
}

pub(super) fn host(name: &str) -> Host {
    name.parse().unwrap()
}

/// The site of `config`.
pub(super) fn site(config: &SiteConfig) -> Arc<Site> {
    let (sites, _) = Sites::build(std::slice::from_ref(config), &SiteFiles::on_disk()).unwrap();
    sites.each().next().unwrap().clone()
}

/// A peer that presents `leaf` in any TLS version.
pub(super) fn peer(files: &TestSite, leaf: &Leaf) -> Arc<ClientConfig> {
    Arc::new(client(&files.authority, Some(leaf), &BOTH))
}

/// The peer's end and the site's end of a connection, and the peer's address.
pub(super) async fn connection() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, address) = listener.accept().await.unwrap();
    (peer, stream, address)
}

/// The end of the site, and that of the peer, after a handshake for `host`.
pub(super) async fn pull(
    sites: &Sites,
    config: &Arc<ClientConfig>,
    host: &str,
) -> (Result<AcceptedPull, RefusedConnection>, io::Result<TlsStream<TcpStream>>) {
    let (peer, stream, address) = connection().await;
    let both = async {
        tokio::join!(accept(stream, address, sites, deadline()), connect_over(config, peer, host))
    };
    timeout(Duration::from_secs(5), both).await.expect("the handshake ends")
}

/// The origin pull of a peer that is accepted, and the peer's end.
pub(super) async fn accepted(
    sites: &Sites,
    config: &Arc<ClientConfig>,
    host: &str,
) -> (OriginPull, TlsStream<TcpStream>) {
    let (accepted, peer) = pull(sites, config, host).await;
    match accepted {
        Ok(AcceptedPull::Authenticated(pull)) => (*pull, peer.unwrap()),
        Ok(AcceptedPull::Unauthenticated(pull)) => panic!("{:?}", pull.would_refuse()),
        Err(refused) => panic!("{:?}: {}", refused.refusal, refused.detail),
    }
}

/// The permit of a peer that is accepted, and the peer's end.
pub(super) async fn permitted(
    sites: &Sites,
    config: &Arc<ClientConfig>,
    host: &str,
) -> (Permit, TlsStream<TcpStream>) {
    let (pull, peer) = accepted(sites, config, host).await;
    match authorize(pull) {
        Ok(permit) => (permit, peer),
        Err(refused) => panic!("{:?}: {}", refused.refusal, refused.detail),
    }
}

/// The refusal of a peer that is not accepted.
pub(super) async fn refused(
    sites: &Sites,
    config: &Arc<ClientConfig>,
    host: &str,
) -> RefusedConnection {
    let (Err(refused), _) = pull(sites, config, host).await else { panic!("accepted") };
    refused
}

/// Closes a refused connection, and returns what its peer reads until the end.
pub(super) async fn closing(refused: RefusedConnection, mut peer: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let (_, read) = tokio::join!(refused.close(), peer.read_to_end(&mut answer));
    read.unwrap();
    answer
}
