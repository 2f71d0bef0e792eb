//! The client: a connection that requests a number of bytes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aop_tests::{Pki, client};
use rustls::{
    ClientConfig, ClientConnection, StreamOwned,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    version::TLS13,
};

use crate::{server::Layer, streams::Streams};

const PATIENCE: Duration = Duration::from_secs(10);
/// The head of a response is shorter.
const ROOM: usize = 64 * 1024;

/// Opens connections with the certificate of the edge.
pub(crate) struct BenchClient {
    config: Arc<ClientConfig>,
    server: SocketAddr,
    layer: Layer,
}

/// An open connection.
pub(crate) enum Kept {
    Http1(Box<Http1>),
    Http2(Box<Streams>),
}

/// An open HTTP/1.1 connection.
pub(crate) struct Http1 {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Box<[u8]>,
}

impl BenchClient {
    pub(crate) fn new(pki: &Pki, server: SocketAddr, layer: Layer) -> Result<Self> {
        // One suite and one group, so that every server does the same work.
        let provider = CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&TLS13])?;
        let mut config = client::client_config(builder, pki, &pki.edge)?;
        config.resumption = Resumption::disabled();
        if layer.is_http2() {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Ok(Self { config: Arc::new(config), server, layer })
    }

    /// Opens a connection, without a handshake yet.
    pub(crate) fn connect(&self) -> Result<Kept> {
        let stream = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let session = ClientConnection::new(Arc::clone(&self.config), "example.com".try_into()?)?;
        let stream = StreamOwned::new(session, stream);
        Ok(match self.layer.is_http2() {
            true => Kept::Http2(Box::new(Streams::new(stream))),
            false => {
                Kept::Http1(Box::new(Http1 { stream, buffer: vec![0; ROOM].into_boxed_slice() }))
            }
        })
    }
}

impl Kept {
    /// Requests and reads `length` bytes.
    pub(crate) fn get(&mut self, length: usize) -> Result<()> {
        match self {
            Self::Http1(kept) => kept.get(length),
            Self::Http2(kept) => kept.get(length),
        }
    }

    /// Sends `total` requests, and returns the time of each. Over HTTP/2 `at_once` are open at a
    /// time.
    pub(crate) fn many(
        &mut self,
        length: usize,
        total: usize,
        at_once: usize,
    ) -> Result<Vec<Duration>> {
        let each = |kept: &mut Http1| {
            let start = Instant::now();
            kept.get(length).map(|()| start.elapsed())
        };
        match self {
            Self::Http1(kept) => (0..total).map(|_| each(kept)).collect(),
            Self::Http2(kept) => kept.many(length, total, at_once),
        }
    }

    /// Frees the buffers, for a connection that stays open and idle.
    pub(crate) fn hold(self) -> StreamOwned<ClientConnection, TcpStream> {
        match self {
            Self::Http1(kept) => kept.stream,
            Self::Http2(kept) => kept.hold(),
        }
    }
}

impl Http1 {
    /// Requests and reads `length` bytes.
    fn get(&mut self, length: usize) -> Result<()> {
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
        let read = self.stream.read(&mut self.buffer[from..]).context("no response")?;
        ensure!(read > 0, "the server closed within a response");
        Ok(read)
    }
}
