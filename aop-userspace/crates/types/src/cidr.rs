//! Parses one prefix, as people and lists write it.

use std::net::IpAddr;

use ipnet::IpNet;

/// The shortest prefix lengths that are accepted: no operator has a wider network.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

/// Parses a prefix that may be admitted: a CIDR, or a bare address as a prefix of full length.
///
/// # Errors
/// The text is neither, has host bits set, is too wide, or is an IPv4-mapped IPv6 network.
pub fn parse_prefix(text: &str) -> Result<IpNet, String> {
    let prefix = parse_prefix_of_any_width(text)?;
    let shortest = if prefix.addr().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
    if prefix.prefix_len() < shortest {
        return Err(format!("{text:?} is too wide; /{shortest} is the widest that aop admits"));
    }
    Ok(prefix)
}

/// Parses a prefix of any width, for uses that admit nothing.
///
/// # Errors
/// As [`parse_prefix`], except for the width.
pub fn parse_prefix_of_any_width(text: &str) -> Result<IpNet, String> {
    let prefix = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(prefix), _) => prefix,
        (Err(_), Ok(address)) => IpNet::from(address),
        (Err(_), Err(_)) => {
            return Err(format!("{text:?} is not a CIDR such as 192.0.2.0/24 or 2001:db8::/32"));
        }
    };
    if prefix != prefix.trunc() {
        return Err(format!(
            "{text:?} has bits set beyond its length; did you mean {}?",
            prefix.trunc()
        ));
    }
    if let IpNet::V6(v6) = prefix
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(format!("{text:?} is an IPv4-mapped network; write it as IPv4"));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_cidr_is_refused_and_the_message_quotes_it() {
        for text in [
            "",
            "cloudflare",
            "<html>",
            "300.1.1.0/24",
            "192.0.2.1/24",
            "10.0.0.0/33",
            "0.0.0.0/0",
            "::/0",
            "128.0.0.0/1",
            "2000::/3",
            "::ffff:192.0.2.0/120",
        ] {
            let error = parse_prefix(text).expect_err(text);
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_bare_address_is_a_prefix_of_full_length() {
        assert_eq!(parse_prefix("192.0.2.1"), Ok("192.0.2.1/32".parse().expect("a CIDR")));
        assert_eq!(
            parse_prefix_of_any_width("0.0.0.0/0"),
            Ok("0.0.0.0/0".parse().expect("a CIDR"))
        );
        assert_eq!(parse_prefix("2001:db8::1"), Ok("2001:db8::1/128".parse().expect("a CIDR")));
    }
}
