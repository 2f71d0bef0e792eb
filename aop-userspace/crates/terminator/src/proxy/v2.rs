//! Version 2: a head of 16 bytes that begins with a signature, then addresses, then fields.

use std::net::{IpAddr, SocketAddr};

use super::{HeaderTooLong, MalformedProxyHeader, Pair, ProxyAddresses, tlv};

pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The length of the head, which precedes the addresses.
pub(super) const HEAD: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// A header with the fields `tlvs` and a checksum.
///
/// # Errors
/// The fields are too long.
pub(super) fn encode(
    addresses: &ProxyAddresses,
    tlvs: tlv::EncodedTlvs,
) -> Result<Vec<u8>, HeaderTooLong> {
    let (family, octets) = match addresses.pair() {
        Pair::V4(pair) => (TCP_OVER_IPV4, pair.concat()),
        Pair::V6(pair) => (TCP_OVER_IPV6, pair.map(|address| address.octets()).concat()),
    };
    let ports =
        [addresses.source, addresses.destination].map(|end: SocketAddr| end.port().to_be_bytes());
    let behind = octets.len() + 4 + tlvs.length();
    let length = u16::try_from(behind).map_err(|_| HeaderTooLong(behind))?;
    let mut header = Vec::with_capacity(HEAD + behind);
    header.extend(SIGNATURE);
    header.extend([PROXY, family]);
    header.extend(length.to_be_bytes());
    header.extend(octets);
    header.extend(ports.as_flattened());
    tlvs.finish(&mut header);
    Ok(header)
}

/// The number of bytes that follow `head`.
pub(super) fn follows(head: [u8; HEAD]) -> usize {
    usize::from(u16::from_be_bytes([head[14], head[15]]))
}

/// Reads a whole header. `None` if it has no addresses for TCP over IP: the command is LOCAL, or
/// the family is another one.
pub(super) fn parse(header: &[u8]) -> Result<Option<ProxyAddresses>, MalformedProxyHeader> {
    let (head, body) = header.split_first_chunk::<HEAD>().ok_or(MalformedProxyHeader::Length)?;
    if !head.starts_with(SIGNATURE) || body.len() != follows(*head) {
        return Err(MalformedProxyHeader::Length);
    }
    let (command, family) = (head[12], head[13]);
    let (addresses, tlvs) = match (command, family) {
        (LOCAL, _) => return Ok(None),
        (PROXY, TCP_OVER_IPV4) => addresses::<4>(body)?,
        (PROXY, TCP_OVER_IPV6) => addresses::<16>(body)?,
        // Unspecified, datagrams, Unix sockets.
        (PROXY, 0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32) => return Ok(None),
        (PROXY, _) => return Err(MalformedProxyHeader::Family),
        (0x22..=0x2f, _) => return Err(MalformedProxyHeader::Command),
        _ => return Err(MalformedProxyHeader::Version),
    };
    tlv::check(header, header.len() - tlvs.len())?;
    Ok(Some(addresses))
}

/// Two addresses of `N` bytes with their ports, and the bytes behind them.
fn addresses<const N: usize>(body: &[u8]) -> Result<(ProxyAddresses, &[u8]), MalformedProxyHeader>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.split_first_chunk::<N>().ok_or(MalformedProxyHeader::Addresses)?;
    let (destination, rest) =
        rest.split_first_chunk::<N>().ok_or(MalformedProxyHeader::Addresses)?;
    let (&[a, b, c, d], rest) =
        rest.split_first_chunk::<4>().ok_or(MalformedProxyHeader::Addresses)?;
    let source = (IpAddr::from(*source), u16::from_be_bytes([a, b]));
    let destination = (IpAddr::from(*destination), u16::from_be_bytes([c, d]));
    Ok((ProxyAddresses::new(source, destination), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb];

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    #[test]
    fn a_header_has_the_bytes_of_the_specification() {
        let addresses = ProxyAddresses {
            source: "192.0.2.7:4711".parse().unwrap(),
            destination: "198.51.100.1:443".parse().unwrap(),
        };
        assert_eq!(parse(&header(PROXY, TCP_OVER_IPV4, &V4)), Ok(Some(addresses)));
        let written = encode(&addresses, tlv::EncodedTlvs::default()).unwrap();
        assert_eq!(&written[..14], header(PROXY, TCP_OVER_IPV4, &[]).split_at(14).0);
        assert_eq!(written[16..28], V4);
        assert_eq!(parse(&written), Ok(Some(addresses)));
        let mixed = ProxyAddresses { source: "[2001:db8::7]:0".parse().unwrap(), ..addresses };
        let written = encode(&mixed, tlv::EncodedTlvs::default()).unwrap();
        assert_eq!(written[13], TCP_OVER_IPV6);
        assert_eq!(written[16..20], [0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(written[42..48], [0xff, 0xff, 198, 51, 100, 1]);
        assert_eq!(parse(&written), Ok(Some(mixed)));
    }

    #[test]
    fn a_header_without_tcp_addresses_is_skipped() {
        assert_eq!(parse(&header(LOCAL, 0, b"")), Ok(None));
        assert_eq!(parse(&header(LOCAL, TCP_OVER_IPV4, b"what it likes")), Ok(None));
        for family in [0x00, 0x12, 0x22, 0x31] {
            assert_eq!(parse(&header(PROXY, family, &[0; 216])), Ok(None), "{family:x}");
        }
    }

    #[test]
    fn a_header_that_the_specification_forbids_is_refused() {
        assert_eq!(parse(&header(0x22, TCP_OVER_IPV4, &V4)), Err(MalformedProxyHeader::Command));
        assert_eq!(parse(&header(0x11, TCP_OVER_IPV4, &V4)), Err(MalformedProxyHeader::Version));
        assert_eq!(parse(&header(PROXY, 0x41, &V4)), Err(MalformedProxyHeader::Family));
        assert_eq!(parse(&header(PROXY, 0x13, &V4)), Err(MalformedProxyHeader::Family));
        assert_eq!(
            parse(&header(PROXY, TCP_OVER_IPV4, &V4[..11])),
            Err(MalformedProxyHeader::Addresses)
        );
        assert_eq!(parse(&header(PROXY, TCP_OVER_IPV6, &V4)), Err(MalformedProxyHeader::Addresses));
        let longer = [&V4[..], &[1, 0, 2, b'h']].concat();
        assert_eq!(parse(&header(PROXY, TCP_OVER_IPV4, &longer)), Err(MalformedProxyHeader::Field));
    }
}
