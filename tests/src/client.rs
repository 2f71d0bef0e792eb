//! TCP and TLS connections under the control of the test: for kept connections, single bytes, and
//! input that no well-behaved client sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned,
    SupportedProtocolVersion, WantsVerifier,
};

use crate::pki::Credentials;
use crate::{Netns, Pki};

/// How long a read or write may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open TLS connection.
pub type TlsSession = StreamOwned<ClientConnection, TcpStream>;

/// Opens a TCP connection whose reads and writes time out.
///
/// # Errors
/// When the connection cannot be opened.
pub fn connect(netns: &Netns, address: SocketAddr) -> Result<TcpStream> {
    let stream = netns.connect(address, PATIENCE).with_context(|| format!("to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A TLS client with one client certificate. It remembers sessions, as usual clients do.
#[derive(Clone, Debug)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// A client for all TLS versions. It sends a post-quantum key share, so its ClientHello needs
    /// more than one packet.
    ///
    /// # Errors
    /// When a file of the PKI cannot be read.
    pub fn new(pki: &Pki, credentials: &Credentials) -> Result<Self> {
        Self::of_versions(pki, credentials, ALL_VERSIONS)
    }

    /// A client for only these TLS versions.
    ///
    /// # Errors
    /// When a file of the PKI cannot be read.
    pub fn of_versions(
        pki: &Pki,
        credentials: &Credentials,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        let builder = ClientConfig::builder_with_protocol_versions(versions);
        Ok(Self(Arc::new(client_config(builder, pki, credentials)?)))
    }

    /// The client side of a handshake for `host`, before the first byte.
    ///
    /// # Errors
    /// When `host` is not a name.
    pub fn begin(&self, host: &str) -> Result<ClientConnection> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(ClientConnection::new(Arc::clone(&self.0), name)?)
    }

    /// Connects and finishes a handshake for `host`.
    ///
    /// # Errors
    /// When the origin refuses it. In TLS 1.3 a refused certificate is reported by the first read
    /// after this.
    pub fn open(&self, netns: &Netns, address: SocketAddr, host: &str) -> Result<TlsSession> {
        self.open_behind(b"", netns, address, host)
    }

    /// As [`open`](Self::open), after `bytes` in clear text.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_behind(
        &self,
        bytes: &[u8],
        netns: &Netns,
        address: SocketAddr,
        host: &str,
    ) -> Result<TlsSession> {
        let mut stream = connect(netns, address)?;
        stream.write_all(bytes)?;
        let mut tls = self.begin(host)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }
}

/// Completes `builder`: verifies the server with the CA of `pki` and presents `credentials`.
///
/// # Errors
/// When a file of the PKI cannot be read.
pub fn client_config(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    pki: &Pki,
    credentials: &Credentials,
) -> Result<ClientConfig> {
    let mut anchors = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(&pki.server_ca)? {
        anchors.add(anchor?)?;
    }
    let chain = CertificateDer::pem_file_iter(&credentials.certificate)?;
    let (chain, key) = (chain.collect::<Result<_, _>>()?, &credentials.key);
    let builder = builder.with_root_certificates(anchors);
    Ok(builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?)
}

/// Sends a request on a kept connection and returns the body of the response, which must have a
/// Content-Length.
///
/// # Errors
/// When the peer closes, stalls or sends something else.
pub fn get(session: &mut (impl Read + Write), path: &str) -> Result<Vec<u8>> {
    write!(session, "GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n")?;
    session.flush()?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        session.read_exact(&mut byte).context("no response")?;
        answer.extend(byte);
    }
    let head = String::from_utf8_lossy(&answer);
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.context("no Content-Length")?.parse()?];
    session.read_exact(&mut body)?;
    Ok(body)
}

/// Closes the sending direction with close_notify and a TCP FIN. The receiving direction stays
/// open.
///
/// # Errors
/// When the connection is closed.
pub fn finish_sending(session: &mut TlsSession) -> Result<()> {
    session.conn.send_close_notify();
    session.flush()?;
    Ok(session.sock.shutdown(Shutdown::Write)?)
}

/// Reads until the peer closes or resets the connection.
///
/// # Errors
/// When nothing comes for 20 seconds.
pub fn read_to_end(mut stream: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(bytes),
        Err(error) => Err(error).context("the peer neither sends nor closes"),
    }
}
