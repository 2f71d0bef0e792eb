//! A decoder of PROXY headers, versions 1 and 2, independent of the encoder under test.
//!
//! Written from HAProxy's `proxy-protocol.txt` (2.2 text, 2.2.1 TLV). It is strict: everything that
//! this document forbids is an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest version 1 header, CRLF included.
const LONGEST_V1: usize = 107;

/// The content of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// 1 or 2.
    pub version: u8,
    /// The peer's address; none for LOCAL or UNKNOWN.
    pub source: Option<SocketAddr>,
    /// The address that the peer connected to.
    pub destination: Option<SocketAddr>,
    /// Version 2 only: type and value.
    pub tlvs: Vec<(u8, Vec<u8>)>,
}

/// The kind of the first bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Detected {
    /// The bytes may become a header. More are needed.
    Incomplete,
    /// No PROXY header: the bytes of the application.
    Absent,
    /// A header and its length in bytes. The bytes of the application follow.
    Present(ProxyHeader, usize),
}

/// Reads the first bytes of a connection.
///
/// # Errors
/// When they begin as a PROXY header and are not a valid one.
pub fn read(bytes: &[u8]) -> Result<Detected> {
    if bytes.starts_with(SIGNATURE) {
        return version_2(bytes);
    }
    if bytes.starts_with(b"PROXY ") {
        return version_1(bytes);
    }
    let begun = SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(bytes);
    Ok(if begun { Detected::Incomplete } else { Detected::Absent })
}

fn version_1(bytes: &[u8]) -> Result<Detected> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        ensure!(bytes.len() < LONGEST_V1, "a version 1 header without an end");
        return Ok(Detected::Incomplete);
    };
    ensure!(end + 2 <= LONGEST_V1, "a version 1 header of {} bytes", end + 2);
    let line = std::str::from_utf8(&bytes[..end]).context("not ASCII")?;
    let words: Vec<&str> = line.split(' ').collect();
    let (source, destination) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => (None, None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let source = SocketAddr::new(source.parse()?, from.parse()?);
            let destination = SocketAddr::new(destination.parse()?, to.parse()?);
            let v4 = family == "TCP4";
            ensure!(source.is_ipv4() == v4 && destination.is_ipv4() == v4, "not {family}: {line}");
            (Some(source), Some(destination))
        }
        _ => bail!("not a version 1 header: {line}"),
    };
    Ok(Detected::Present(
        ProxyHeader { version: 1, source, destination, tlvs: Vec::new() },
        end + 2,
    ))
}

fn version_2(bytes: &[u8]) -> Result<Detected> {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else {
        return Ok(Detected::Incomplete);
    };
    let end = 16 + usize::from(u16::from_be_bytes([high, low]));
    let Some(body) = bytes.get(16..end) else { return Ok(Detected::Incomplete) };
    let (source, destination, rest) = match (command, family) {
        // LOCAL: the receiver skips the rest.
        (0x20, _) => (None, None, &body[body.len()..]),
        (0x21, 0x11) => pair::<4>(body, |octets| Ipv4Addr::from(octets).into())?,
        (0x21, 0x21) => pair::<16>(body, |octets| Ipv6Addr::from(octets).into())?,
        _ => bail!("command {command:#x}, family {family:#x}"),
    };
    Ok(Detected::Present(ProxyHeader { version: 2, source, destination, tlvs: tlvs(rest)? }, end))
}

type Pair<'a> = (Option<SocketAddr>, Option<SocketAddr>, &'a [u8]);

/// Reads two addresses of `N` bytes, then two ports.
fn pair<const N: usize>(body: &[u8], address: fn([u8; N]) -> IpAddr) -> Result<Pair<'_>> {
    let (source, rest) = body.split_first_chunk::<N>().context("no source")?;
    let (destination, rest) = rest.split_first_chunk::<N>().context("no destination")?;
    let (&[a, b, c, d], rest) = rest.split_first_chunk::<4>().context("no ports")?;
    let source = SocketAddr::new(address(*source), u16::from_be_bytes([a, b]));
    let destination = SocketAddr::new(address(*destination), u16::from_be_bytes([c, d]));
    Ok((Some(source), Some(destination), rest))
}

fn tlvs(mut rest: &[u8]) -> Result<Vec<(u8, Vec<u8>)>> {
    let mut found = Vec::new();
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = after.get(..length).context("a TLV ends too early")?;
        found.push((kind, value.to_vec()));
        rest = &after[length..];
    }
    ensure!(rest.is_empty(), "{} bytes after the TLVs", rest.len());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_1_examples_of_the_specification_are_read() {
        let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";
        let Ok(Detected::Present(header, length)) = read(line) else { panic!("{:?}", read(line)) };
        assert_eq!(header.source, Some("192.168.0.1:56324".parse().expect("an address")));
        assert_eq!(&line[length..], b"GET / HTTP/1.1\r\n");
        assert!(matches!(read(b"PROXY UNKNOWN\r\n"), Ok(Detected::Present(_, 15))));
    }

    #[test]
    fn a_version_2_header_is_incomplete_until_its_last_byte() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 16, 192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0, 1, 0xbb]);
        bytes.extend([0x01, 0, 1, b'h']);
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]).expect("no error"), Detected::Incomplete, "{end}");
        }
        let Ok(Detected::Present(header, 32)) = read(&bytes) else { panic!("{:?}", read(&bytes)) };
        assert_eq!(header.destination, Some("192.0.2.2:443".parse().expect("an address")));
        assert_eq!(header.tlvs, [(1, b"h".to_vec())]);
    }

    #[test]
    fn other_first_bytes_are_no_header() {
        assert_eq!(read(b"POST / HTTP/1.1").expect("no error"), Detected::Absent);
    }
}
