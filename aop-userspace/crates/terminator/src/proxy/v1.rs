//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{MalformedProxyHeader, Pair, ProxyAddresses};

pub(super) const BEGINNING: &[u8] = b"PROXY ";
/// The longest line, its CR LF included.
pub(super) const MAX_LENGTH: usize = 107;

pub(super) fn encode(addresses: &ProxyAddresses) -> Vec<u8> {
    let (from, to) = (addresses.source.port(), addresses.destination.port());
    let (family, source, destination) = match addresses.pair() {
        Pair::V4(pair) => {
            let [source, destination] = pair.map(|octets| Ipv4Addr::from(octets).to_string());
            ("TCP4", source, destination)
        }
        Pair::V6([source, destination]) => ("TCP6", source.to_string(), destination.to_string()),
    };
    format!("PROXY {family} {source} {destination} {from} {to}\r\n").into_bytes()
}

/// Reads a whole line, its CR LF included; `None` if the sender does not know the addresses.
pub(super) fn parse(line: &[u8]) -> Result<Option<ProxyAddresses>, MalformedProxyHeader> {
    let line = line.strip_suffix(b"\r\n").ok_or(MalformedProxyHeader::Line)?;
    let rest = line.strip_prefix(BEGINNING).ok_or(MalformedProxyHeader::Line)?;
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let text = std::str::from_utf8(rest).map_err(|_| MalformedProxyHeader::Line)?;
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(MalformedProxyHeader::Line);
    let family = word()?;
    let (source, destination) = (address(family, word()?)?, address(family, word()?)?);
    let (from, to) = (port(word()?)?, port(word()?)?);
    match words.next() {
        None => Ok(Some(ProxyAddresses::new((source, from), (destination, to)))),
        Some(_) => Err(MalformedProxyHeader::Line),
    }
}

fn address(family: &str, text: &str) -> Result<IpAddr, MalformedProxyHeader> {
    let address = match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from),
        _ => return Err(MalformedProxyHeader::Line),
    };
    address.map_err(|_| MalformedProxyHeader::Line)
}

/// A port without a sign or leading zeros.
fn port(text: &str) -> Result<u16, MalformedProxyHeader> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.starts_with('0') && text != "0") {
        return Err(MalformedProxyHeader::Line);
    }
    text.parse().map_err(|_| MalformedProxyHeader::Line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(source: &str, destination: &str) -> ProxyAddresses {
        ProxyAddresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    #[test]
    fn a_header_is_a_line_of_text() {
        for (addresses, line) in [
            (
                addresses("192.0.2.7:4711", "198.51.100.1:443"),
                "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n",
            ),
            (
                addresses("[2001:db8::7]:4711", "[2001:db8::1]:443"),
                "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n",
            ),
            (
                addresses("[2001:db8::7]:0", "192.0.2.1:443"),
                "PROXY TCP6 2001:db8::7 ::ffff:192.0.2.1 0 443\r\n",
            ),
        ] {
            assert_eq!(String::from_utf8(encode(&addresses)).unwrap(), line);
            assert_eq!(parse(line.as_bytes()), Ok(Some(addresses)));
        }
    }

    #[test]
    fn anything_may_follow_unknown() {
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 x \x01 65536\r\n"] {
            assert_eq!(parse(line.as_bytes()), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn a_malformed_line_is_refused() {
        for line in [
            "",
            "PROXY \r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n ",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(MalformedProxyHeader::Line), "{line:?}");
        }
    }
}
