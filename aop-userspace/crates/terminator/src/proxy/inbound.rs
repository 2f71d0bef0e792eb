//! The header that a connection begins with, where its sender is one of the listener's.
//!
//! What comes behind it is TLS and not ours to read: bytes are looked at first, and only those of
//! the header are taken.

use aop_tls::{Refusal, Refused};
use thiserror::Error;
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Ends, v1, v2};

/// The longest header of version 2 that is read. Senders say who connected, and some fields.
const LONGEST: usize = 4096;

/// A header that is none, or none that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The first bytes are those of something else.
    #[error("there is none, and its sender is named in proxy_from")]
    Missing,
    /// More than version 1 allows, or more than is read of version 2.
    #[error("it is too long")]
    TooLong,
    /// Version 1, and not as that is written.
    #[error("not a line of version 1")]
    Line,
    /// Shorter or longer than it says.
    #[error("it is not as long as it says")]
    Cut,
    /// Neither version 1 nor 2.
    #[error("of another version")]
    Version,
    /// Neither LOCAL nor PROXY.
    #[error("an unknown command")]
    Command,
    /// An address family or a transport that the specification does not know.
    #[error("an unknown address family")]
    Family,
    /// No room for the addresses.
    #[error("too short for its addresses")]
    Addresses,
    /// A field that ends behind the header.
    #[error("a field ends behind it")]
    Field,
    /// A sum that is not that of the header.
    #[error("its CRC32C is wrong")]
    Sum,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of them are the header's, and more is to come.
    Unfinished,
    /// The header is so many bytes long. It may say nothing about the connection.
    Whole(usize, Option<Ends>),
}

/// Reads a header at the beginning of `bytes`.
///
/// # Errors
/// They are no header and begin none.
pub fn read(bytes: &[u8]) -> Result<Reading, Malformed> {
    if bytes.starts_with(v2::SIGNATURE) {
        let Some((head, _)) = bytes.split_first_chunk::<{ v2::HEAD }>() else {
            return Ok(Reading::Unfinished);
        };
        let length = v2::HEAD + v2::follows(*head);
        if length > LONGEST {
            return Err(Malformed::TooLong);
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
            None if line.len() == v1::LONGEST => Err(Malformed::TooLong),
            None => Ok(Reading::Unfinished),
        };
    }
    match v2::SIGNATURE.starts_with(bytes) || v1::BEGINNING.starts_with(bytes) {
        true => Ok(Reading::Unfinished),
        false => Err(Malformed::Missing),
    }
}

/// Takes the header off a connection; `None` where it says nothing about it.
///
/// # Errors
/// There is none, it is malformed, or it was not there before `deadline`.
pub(crate) async fn receive(
    mut stream: TcpStream,
    deadline: Instant,
) -> Result<(TcpStream, Option<Ends>), Refused> {
    let refused = match timeout_at(deadline, take(&mut stream)).await {
        Ok(Ok(ends)) => return Ok((stream, ends)),
        Ok(Err(refused)) => refused,
        Err(_) => Refused::new(Refusal::Deadline).because("no whole PROXY header came"),
    };
    Err(refused.on(stream))
}

async fn take(stream: &mut TcpStream) -> Result<Option<Ends>, Refused> {
    let gone = |error: std::io::Error| Refused::new(Refusal::PeerGone).because(error.to_string());
    let mut bytes = vec![0; LONGEST];
    let mut taken = 0;
    loop {
        // There is room: what is unfinished is shorter than the longest.
        let seen = taken + stream.peek(&mut bytes[taken..]).await.map_err(gone)?;
        if seen == taken {
            return Err(Refused::new(Refusal::PeerGone).because("amid a PROXY header"));
        }
        let reading = read(&bytes[..seen])
            .map_err(|why| Refused::new(Refusal::ProxyHeader).because(why.to_string()))?;
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
