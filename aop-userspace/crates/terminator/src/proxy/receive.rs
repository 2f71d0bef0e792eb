//! The PROXY header at the start of a connection from one of the listener's senders.
//!
//! TLS reads the bytes that follow the header. So this module peeks first (MSG_PEEK) and consumes
//! only the bytes of the header.

use aop_tls::{Refusal, RefusedConnection};
use thiserror::Error;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{ProxyAddresses, v1, v2};

/// The longest version 2 header that is read. Real headers hold addresses and a few fields.
const MAX_LENGTH: usize = 4096;

/// A missing or malformed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MalformedProxyHeader {
    /// The connection does not begin with a PROXY header.
    #[error("there is no PROXY header, although proxy_from names the sender")]
    Missing,
    /// Longer than version 1 allows, or longer than aop reads in version 2.
    #[error("the header is too long")]
    TooLong,
    /// A version 1 header that does not follow the specification.
    #[error("the version 1 line is malformed")]
    Line,
    /// Shorter or longer than its length field.
    #[error("the header does not have the length that it states")]
    Length,
    /// Neither version 1 nor 2.
    #[error("the version is unknown")]
    Version,
    /// Neither LOCAL nor PROXY.
    #[error("the command is unknown")]
    Command,
    /// An address family or transport that the specification does not define.
    #[error("the address family is unknown")]
    Family,
    /// Too short for the addresses of its family.
    #[error("the header is too short for its addresses")]
    Addresses,
    /// A field extends beyond the header.
    #[error("a field extends beyond the header")]
    Field,
    /// The checksum does not match the header.
    #[error("the CRC32C checksum is wrong")]
    Checksum,
}

/// The result of reading the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedProxyHeader {
    /// The bytes belong to a header that is not complete yet.
    Incomplete,
    /// A complete header: its length in bytes, and its addresses, if it has any.
    Complete(usize, Option<ProxyAddresses>),
}

/// Reads a header at the beginning of `bytes`.
///
/// # Errors
/// `bytes` neither are a header nor begin one.
pub fn parse(bytes: &[u8]) -> Result<ParsedProxyHeader, MalformedProxyHeader> {
    if bytes.starts_with(v2::SIGNATURE) {
        let Some((head, _)) = bytes.split_first_chunk::<{ v2::HEAD }>() else {
            return Ok(ParsedProxyHeader::Incomplete);
        };
        let length = v2::HEAD + v2::follows(*head);
        if length > MAX_LENGTH {
            return Err(MalformedProxyHeader::TooLong);
        }
        return match bytes.get(..length) {
            Some(header) => Ok(ParsedProxyHeader::Complete(length, v2::parse(header)?)),
            None => Ok(ParsedProxyHeader::Incomplete),
        };
    }
    if bytes.starts_with(v1::BEGINNING) {
        let line = &bytes[..bytes.len().min(v1::MAX_LENGTH)];
        return match line.iter().position(|byte| *byte == b'\n') {
            Some(end) => Ok(ParsedProxyHeader::Complete(end + 1, v1::parse(&line[..=end])?)),
            None if line.len() == v1::MAX_LENGTH => Err(MalformedProxyHeader::TooLong),
            None => Ok(ParsedProxyHeader::Incomplete),
        };
    }
    match v2::SIGNATURE.starts_with(bytes) || v1::BEGINNING.starts_with(bytes) {
        true => Ok(ParsedProxyHeader::Incomplete),
        false => Err(MalformedProxyHeader::Missing),
    }
}

/// Consumes the header of a connection; `None` if the header has no addresses.
///
/// # Errors
/// There is no header, it is malformed, or it is incomplete at `deadline`.
pub(crate) async fn receive(
    mut stream: TcpStream,
    deadline: Instant,
) -> Result<(TcpStream, Option<ProxyAddresses>), RefusedConnection> {
    let refused = match timeout_at(deadline, consume(&mut stream)).await {
        Ok(Ok(addresses)) => return Ok((stream, addresses)),
        Ok(Err(refused)) => refused,
        Err(_) => {
            RefusedConnection::new(Refusal::Deadline).with_detail("the PROXY header is incomplete")
        }
    };
    Err(refused.with_stream(stream))
}

async fn consume(stream: &mut TcpStream) -> Result<Option<ProxyAddresses>, RefusedConnection> {
    let gone = |error: std::io::Error| {
        RefusedConnection::new(Refusal::PeerGone).with_detail(error.to_string())
    };
    let mut bytes = vec![0; MAX_LENGTH];
    let mut taken = 0;
    loop {
        // The buffer has room: an unfinished header is shorter than `MAX_LENGTH`.
        let seen = taken + stream.peek(&mut bytes[taken..]).await.map_err(gone)?;
        if seen == taken {
            return Err(
                RefusedConnection::new(Refusal::PeerGone).with_detail("within the PROXY header")
            );
        }
        let reading = parse(&bytes[..seen]).map_err(|why| {
            RefusedConnection::new(Refusal::ProxyHeader).with_detail(why.to_string())
        })?;
        let end = match reading {
            ParsedProxyHeader::Incomplete => seen,
            ParsedProxyHeader::Complete(length, _) => length,
        };
        stream.read_exact(&mut bytes[taken..end]).await.map_err(gone)?;
        if let ParsedProxyHeader::Complete(_, addresses) = reading {
            return Ok(addresses);
        }
        taken = end;
    }
}
