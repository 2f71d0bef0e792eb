//! Pulls by hand: raw bytes and a TLS connection under the test's control, for shapes that no
//! well-behaved client makes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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

/// A finished handshake for `host`, presenting `identity`.
///
/// # Errors
/// When the origin refuses it. In TLS 1.3 a refusal of the certificate shows only at the first
/// read after this.
pub fn open(
    place: &Place,
    address: SocketAddr,
    host: &str,
    pki: &Pki,
    identity: &Identity,
) -> Result<Session> {
    let mut stream = connect(place, address)?;
    let mut tls = client(host, pki, identity)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// The client's side of a handshake, yet to begin.
///
/// # Errors
/// When a file of the PKI cannot be read.
pub fn client(host: &str, pki: &Pki, identity: &Identity) -> Result<ClientConnection> {
    let mut anchors = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(&pki.server_ca)? {
        anchors.add(anchor?)?;
    }
    let chain = CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    let config = ClientConfig::builder()
        .with_root_certificates(anchors)
        .with_client_auth_cert(chain, key)?;
    Ok(ClientConnection::new(Arc::new(config), ServerName::try_from(host.to_owned())?)?)
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
