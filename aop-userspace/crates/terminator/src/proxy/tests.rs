//! A written header reads back unchanged, whatever its segments and the bytes around it.

use std::net::{IpAddr, SocketAddr};

use aop_config::ClientCertForwarding;
use aop_tls::testing::{Authority, Leaf};
use proptest::prelude::*;

use super::*;

fn handshake(leaf: &Leaf) -> HandshakeFacts {
    HandshakeFacts::of("example.com", leaf.chain[0].clone())
}

fn end() -> impl Strategy<Value = SocketAddr> {
    // As for real peers, no address is IPv6-mapped.
    (any::<IpAddr>(), any::<u16>())
        .prop_map(|(address, port)| SocketAddr::new(address.to_canonical(), port))
}

fn protocol() -> impl Strategy<Value = ProxyProtocol> {
    prop_oneof![
        Just(ProxyProtocol::V1),
        Just(ProxyProtocol::V2(ClientCertForwarding::Withheld)),
        Just(ProxyProtocol::V2(ClientCertForwarding::Shown)),
    ]
}

proptest! {
    #[test]
    fn a_complete_header_reads_back_as_written(
        source in end(),
        destination in end(),
        protocol in protocol(),
        behind in any::<Vec<u8>>(),
    ) {
        let addresses = ProxyAddresses { source, destination };
        let leaf = Authority::new("CA").edge();
        let header = header(protocol, &addresses, &handshake(&leaf)).unwrap();
        for cut in 0..header.len() {
            prop_assert_eq!(parse(&header[..cut]), Ok(ParsedProxyHeader::Incomplete));
        }
        let all = [&header[..], &behind].concat();
        let complete = ParsedProxyHeader::Complete(header.len(), Some(addresses));
        prop_assert_eq!(parse(&all), Ok(complete));
    }

    #[test]
    fn no_bytes_are_read_beyond_the_stated_length(
        beginning in prop_oneof![
            Just(&b""[..]),
            Just(&b"PROXY "[..]),
            Just(&b"PROXY TCP4 192.0.2.1 "[..]),
            Just(&v2::SIGNATURE[..]),
            Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..]),
        ],
        bytes in prop::collection::vec(any::<u8>(), 0..5000),
    ) {
        let all = [beginning, &bytes].concat();
        match parse(&all) {
            Ok(ParsedProxyHeader::Complete(length, addresses)) => {
                prop_assert!(length <= all.len());
                let complete = ParsedProxyHeader::Complete(length, addresses);
                prop_assert_eq!(parse(&all[..length]), Ok(complete));
                prop_assert_eq!(parse(&all[..length - 1]), Ok(ParsedProxyHeader::Incomplete));
            }
            // A header is unfinished only below the longest length.
            Ok(ParsedProxyHeader::Incomplete) => prop_assert!(all.len() < 4096),
            Err(_) => {}
        }
    }
}

#[test]
fn the_fields_about_tls_describe_the_handshake() {
    let leaf = Authority::new("CA").edge();
    let addresses = ProxyAddresses {
        source: "192.0.2.1:1".parse().unwrap(),
        destination: "192.0.2.2:443".parse().unwrap(),
    };
    let shown = ProxyProtocol::V2(ClientCertForwarding::Shown);
    let mut handshake = handshake(&leaf);
    let whole = header(shown, &addresses, &handshake).unwrap();
    assert!(whole.ends_with(&leaf.chain[0]));
    let has = |header: &[u8], part: &[u8]| header.windows(part.len()).any(|at| at == part);
    assert!(has(&whole, b"\x21\x00\x07TLSv1.3") && has(&whole, b"\x02\x00\x0bexample.com\x03"));
    assert!(has(&whole, b"\x23\x00\x16TLS_AES_256_GCM_SHA384"));
    handshake.certificate_from = aop_tls::CertificateFrom::EarlierHandshake;
    let resumed =
        header(ProxyProtocol::V2(ClientCertForwarding::Withheld), &addresses, &handshake).unwrap();
    assert!(has(&resumed, b"\x05\0\0\0\0\x21") && !has(&resumed, &leaf.chain[0]));
    let huge = Authority::new("CA").leaf(|params| {
        params.subject_alt_names =
            vec![rcgen::SanType::DnsName("x".repeat(70_000).try_into().unwrap())];
    });
    assert!(
        header(shown, &addresses, &HandshakeFacts::of("example.com", huge.chain[0].clone()))
            .is_err()
    );
    assert_eq!(header(ProxyProtocol::Off, &addresses, &handshake), Ok(Vec::new()));
}

#[test]
fn a_header_that_is_too_long_is_refused_before_it_is_complete() {
    let head = |length: u16| [&v2::SIGNATURE[..], b"\x21\x11", &length.to_be_bytes()].concat();
    assert_eq!(parse(&head(4080)), Ok(ParsedProxyHeader::Incomplete));
    assert_eq!(parse(&head(4081)), Err(MalformedProxyHeader::TooLong));
    let line = [&b"PROXY UNKNOWN "[..], &[b'x'; 91], b"\r\n"].concat();
    assert_eq!(line.len(), 107);
    assert_eq!(parse(&line), Ok(ParsedProxyHeader::Complete(107, None)));
    assert_eq!(parse(&[&line[..105], b"x\r\n"].concat()), Err(MalformedProxyHeader::TooLong));
    for other in [&b"\x16\x03\x01"[..], b"GET / HTTP/1.1", b"PROXZ ", b"\r\n\r\n\0\r\nQUIX"] {
        assert_eq!(parse(other), Err(MalformedProxyHeader::Missing));
    }
}
