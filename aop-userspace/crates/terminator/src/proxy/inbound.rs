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
const LONGEST: usize = 4096;

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
    Cut,
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
    Sum,
}

/// The result of reading the first bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The bytes belong to a header that is not complete yet.
    Unfinished,
    /// A complete header: its length in bytes, and its addresses, if it has any.
    Whole(usize, Option<ProxyAddresses>),
}

/// Reads a header at the beginning of `bytes`.
///
/// # Errors
/// `bytes` neither are a header nor begin one.
pub fn read(bytes: &[u8]) -> Result<Reading, MalformedProxyHeader> {
    if bytes.starts_with(v2::SIGNATURE) {
        let Some((head, _)) = bytes.split_first_chunk::<{ v2::HEAD }>() else {
            return Ok(Reading::Unfinished);
        };
        let length = v2::HEAD + v2::follows(*head);
        if length > LONGEST {
            return Err(MalformedProxyHeader::TooLong);
        }
        return match bytes.get(..length) {
            Some(header) => Ok(Reading::Whole(length, v2::read(header)?)),
            None => Ok(Reading::Unfinished),
        };
    }
    if bytes.starts_with(v1::BEGINNING) {
        let line = &bytes[..bytes.len().min(v1::LONGEST)];
        return match line.iter().position(|byte| *byte == b'\n') {
            Some(end) => Ok(Reading::Whole(end + 1, v1::read(&line[..=end])?)),
            None if line.len() == v1::LONGEST => Err(MalformedProxyHeader::TooLong),
            None => Ok(Reading::Unfinished),
        };
    }
    match v2::SIGNATURE.starts_with(bytes) || v1::BEGINNING.starts_with(bytes) {
        true => Ok(Reading::Unfinished),
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
    let refused = match timeout_at(deadline, take(&mut stream)).await {
        Ok(Ok(ends)) => return Ok((stream, ends)),
        Ok(Err(refused)) => refused,
        Err(_) => {
            RefusedConnection::new(Refusal::Deadline).with_detail("the PROXY header is incomplete")
        }
    };
    Err(refused.with_stream(stream))
}

async fn take(stream: &mut TcpStream) -> Result<Option<ProxyAddresses>, RefusedConnection> {
    let gone = |error: std::io::Error| {
        RefusedConnection::new(Refusal::PeerGone).with_detail(error.to_string())
    };
    let mut bytes = vec![0; LONGEST];
    let mut taken = 0;
    loop {
        // The buffer has room: an unfinished header is shorter than `LONGEST`.
        let seen = taken + stream.peek(&mut bytes[taken..]).await.map_err(gone)?;
        if seen == taken {
            return Err(
                RefusedConnection::new(Refusal::PeerGone).with_detail("within the PROXY header")
            );
        }
        let reading = read(&bytes[..seen]).map_err(|why| {
            RefusedConnection::new(Refusal::ProxyHeader).with_detail(why.to_string())
        })?;
        let end = match reading {
            Reading::Unfinished => seen,
            Reading::Whole(length, _) => length,
        };
        stream.read_exact(&mut bytes[taken..end]).await.map_err(gone)?;
        if let Reading::Whole(_, ends) = reading {
            return Ok(ends);
        }
        taken = end;
    }
}
