//! The TLS side of one probe: bytes in, bytes out. The caller owns the socket and the deadline.

use std::io::{self, Read, Write};

use rustls::{ClientConnection, Error, HandshakeKind, ProtocolVersion};

use super::TlsVersion;

/// A handshake as a client, and the session after it.
#[derive(Debug)]
pub struct ProbeConnection(ClientConnection);

/// The effect of bytes from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// None that the caller must act on.
    Nothing,
    /// The server sent these bytes of its application.
    Data(Vec<u8>),
    /// The server closed the session properly.
    Closed,
    /// The server sent this fatal alert.
    Alert(String),
    /// The server broke the protocol, for this reason.
    Broken(String),
}

impl ProbeConnection {
    pub(super) fn new(connection: ClientConnection) -> Self {
        Self(connection)
    }

    /// Whether the handshake is not finished on this side.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// The TLS version, once it is agreed on.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls names versions that it does not support"
    )]
    pub fn version(&self) -> Option<TlsVersion> {
        match self.0.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(TlsVersion::V12),
            ProtocolVersion::TLSv1_3 => Some(TlsVersion::V13),
            _ => None,
        }
    }

    /// Whether an earlier session was resumed.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Queues bytes for the server's application.
    ///
    /// # Errors
    /// The queue is full.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(bytes)
    }

    /// Queues the alert that closes the session.
    pub fn close(&mut self) {
        self.0.send_close_notify();
    }

    /// Takes the queued bytes, to be sent to the server.
    ///
    /// # Errors
    /// None is expected: the bytes are written to memory.
    pub fn take_outgoing(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Processes bytes from the server. Bytes after the first effect are discarded.
    ///
    /// # Errors
    /// The buffer for incoming bytes is full.
    pub fn receive(&mut self, mut bytes: &[u8]) -> io::Result<Received> {
        while let [_, ..] = bytes {
            self.0.read_tls(&mut bytes)?;
            match self.0.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => {
                    let mut data = vec![0; state.plaintext_bytes_to_read()];
                    self.0.reader().read_exact(&mut data)?;
                    return Ok(Received::Data(data));
                }
                Ok(state) if state.peer_has_closed() => return Ok(Received::Closed),
                Ok(_) => {}
                Err(Error::AlertReceived(alert)) => {
                    return Ok(Received::Alert(format!("{alert:?}")));
                }
                Err(error) => return Ok(Received::Broken(error.to_string())),
            }
        }
        Ok(Received::Nothing)
    }
}
