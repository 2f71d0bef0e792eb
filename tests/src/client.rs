//! Pulls by hand: raw bytes and TLS connections under the test's control, for shapes that no
//! well-behaved client makes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::pki::Identity;
use crate::{Pki, Place};

/// How long a read or write may stall.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open TLS connection.
pub type Session = StreamOwned<ClientConnection, TcpStream>;

/// A TCP connection whose reads and writes have a deadline.
///
/// # Errors
/// When it does not come about.
pub fn connect(place: &Place, address: SocketAddr) -> Result<TcpStream> {
    let stream = place.connect(address, PATIENCE).with_context(|| format!("to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A TLS client with one identity, which remembers sessions as any client does.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// A client of every TLS version, with a post-quantum key share: its ClientHello takes more
    /// than one packet.
    ///
    /// # Errors
    /// When a file of the PKI cannot be read.
    pub fn new(pki: &Pki, identity: &Identity) -> Result<Self> {
        Self::of_versions(pki, identity, ALL_VERSIONS)
    }

    /// A client of these TLS versions alone.
    ///
    /// # Errors
    /// When a file of the PKI cannot be read.
    pub fn of_versions(
        pki: &Pki,
        identity: &Identity,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        let mut anchors = RootCertStore::empty();
        for anchor in CertificateDer::pem_file_iter(&pki.server_ca)? {
            anchors.add(anchor?)?;
        }
        let chain = CertificateDer::pem_file_iter(&identity.certificate)?;
        let config = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(anchors)
            .with_client_auth_cert(
                chain.collect::<Result<_, _>>()?,
                PrivateKeyDer::from_pem_file(&identity.key)?,
            )?;
        Ok(Self(Arc::new(config)))
    }

    /// The client's side of a handshake for `host`, yet to begin.
    ///
    /// # Errors
    /// When `host` is no name.
    pub fn begin(&self, host: &str) -> Result<ClientConnection> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(ClientConnection::new(Arc::clone(&self.0), name)?)
    }

    /// A finished handshake for `host`.
    ///
    /// # Errors
    /// When the origin refuses it. In TLS 1.3 a refusal of the certificate shows only at the first
    /// read after this.
    pub fn open(&self, place: &Place, address: SocketAddr, host: &str) -> Result<Session> {
        self.open_behind(b"", place, address, host)
    }

    /// The same behind `bytes` in clear.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_behind(
        &self,
        bytes: &[u8],
        place: &Place,
        address: SocketAddr,
        host: &str,
    ) -> Result<Session> {
        let mut stream = connect(place, address)?;
        stream.write_all(bytes)?;
        let mut tls = self.begin(host)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }
}

/// One request on a kept connection, and the whole answer. Its body must have a Content-Length.
///
/// # Errors
/// When the far end finishes, stalls or answers something else.
pub fn get(session: &mut (impl Read + Write), path: &str) -> Result<Vec<u8>> {
    write!(session, "GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n")?;
    session.flush()?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        session.read_exact(&mut byte).context("no answer")?;
        answer.extend(byte);
    }
    let head = String::from_utf8_lossy(&answer);
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.context("no Content-Length")?.parse()?];
    session.read_exact(&mut body)?;
    Ok(body)
}

/// Says that nothing more will be sent, and leaves the other direction open: close_notify, then
/// the TCP FIN.
///
/// # Errors
/// When the connection is gone.
pub fn finish_sending(session: &mut Session) -> Result<()> {
    session.conn.send_close_notify();
    session.flush()?;
    Ok(session.sock.shutdown(Shutdown::Write)?)
}

/// Reads until the far end finishes. A reset counts as an end; a stall does not.
///
/// # Errors
/// When nothing comes for the whole patience.
pub fn read_to_end(mut stream: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(bytes),
        Err(error) => Err(error).context("the far end neither answers nor ends"),
    }
}
