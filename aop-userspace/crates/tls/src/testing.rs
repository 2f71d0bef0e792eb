//! For tests: certificates of every kind, a TLS client that presents them whatever the server asks
//! for, and a server that asks for none. Other crates get them by the feature `testing`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "helpers of tests: names say what they are, and a panic is a failed test"
)]

mod certificates;

use std::{
    io::{Read, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, ServerName},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

#[cfg(test)]
pub(crate) use self::certificates::INTERMEDIATE;
pub use self::certificates::{Authority, Leaf, far_ahead, long_ago, pem};
use super::probe_client::FixedClientCert;

pub const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A client that trusts `server_ca` and presents `leaf`.
pub fn client(
    server_ca: &Authority,
    leaf: Option<&Leaf>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(server_ca.certificate.clone()).unwrap();
    let presented = leaf.map(|leaf| {
        let key = PrivateKeyDer::try_from(leaf.key.clone()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        Arc::new(CertifiedKey::new(leaf.chain.clone(), key))
    });
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(FixedClientCert(presented)))
}

pub async fn connect(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    host: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_over(config, TcpStream::connect(address).await?, host).await
}

pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(
    config: &Arc<ClientConfig>,
    stream: S,
    host: &str,
) -> std::io::Result<TlsStream<S>> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await
}

/// A server that asks for no client certificate.
#[derive(Clone)]
pub struct OpenServer(Arc<ServerConfig>);

impl OpenServer {
    pub fn new(host: &str) -> Self {
        let Leaf { chain, key } = Authority::new("ca").server(&[host]);
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::try_from(key).unwrap())
            .unwrap();
        Self(Arc::new(config))
    }

    /// The server's side of `stream`. The handshake is made by the first read, write or flush.
    pub fn over(&self, stream: std::net::TcpStream) -> impl Read + Write + use<> {
        StreamOwned::new(ServerConnection::new(self.0.clone()).unwrap(), stream)
    }

    /// Answers the first bytes of a ClientHello, and never finishes the handshake.
    pub fn begin(&self, stream: &mut std::net::TcpStream) {
        let mut connection = ServerConnection::new(self.0.clone()).unwrap();
        connection.read_tls(stream).ok();
        connection.process_new_packets().ok();
        while connection.wants_write() {
            connection.write_tls(stream).ok();
        }
    }
}

/// The bytes of a ClientHello that names `host`.
pub fn client_hello(config: &Arc<ClientConfig>, host: &str) -> Vec<u8> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(config.clone(), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// The folder of published data, which the environment variable AOP_SHARED_DATA names; without it,
/// a test that needs the data says so and returns.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("AOP_SHARED_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: AOP_SHARED_DATA names no folder of published data");
    }
    folder
}
