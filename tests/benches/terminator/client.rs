//! The client: one connection that asks for so many bytes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aop_tests::Pki;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// A head is shorter.
const ROOM: usize = 64 * 1024;

/// Opens connections with the edge's certificate.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    server: SocketAddr,
}

/// A connection that is kept.
pub(crate) struct Kept {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Box<[u8]>,
}

impl Client {
    pub(crate) fn new(pki: &Pki, server: SocketAddr) -> Result<Self> {
        let mut anchors = RootCertStore::empty();
        for anchor in CertificateDer::pem_file_iter(&pki.server_ca)? {
            anchors.add(anchor?)?;
        }
        let chain =
            CertificateDer::pem_file_iter(&pki.edge.certificate)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&pki.edge.key)?;
        // One suite and one group, so that every server does the same work.
        let provider = CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(anchors)
            .with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), server })
    }

    /// A connection over which nothing was said yet.
    pub(crate) fn connect(&self) -> Result<Kept> {
        let stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let session = ClientConnection::new(Arc::clone(&self.config), "example.com".try_into()?)?;
        let stream = StreamOwned::new(session, stream);
        Ok(Kept { stream, buffer: vec![0; ROOM].into_boxed_slice() })
    }
}

impl Kept {
    /// Gets `length` bytes.
    pub(crate) fn get(&mut self, length: usize) -> Result<()> {
        let request = format!("GET /bytes/{length} HTTP/1.1\r\nHost: example.com\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        let head = loop {
            filled += self.more(filled)?;
            let read = &self.buffer[..filled];
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        ensure!(self.buffer.starts_with(b"HTTP/1.1 200"), "not served");
        let mut body = filled - head;
        while body < length {
            body += self.more(0)?;
        }
        ensure!(body == length, "{body} bytes instead of {length}");
        Ok(())
    }

    fn more(&mut self, from: usize) -> Result<usize> {
        let read = self.stream.read(&mut self.buffer[from..]).context("no answer")?;
        ensure!(read > 0, "the server closed in mid-answer");
        Ok(read)
    }

    /// Gives the buffer back: of a connection that is only held.
    pub(crate) fn hold(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.stream
    }
}
