//! Recognizes connections that are not TLS.
//!
//! The first byte decides: every TLS connection begins with a handshake record, 0x16. That byte is
//! peeked at, never consumed. rustls checks the rest, since a ClientHello may be split anywhere.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

const HANDSHAKE: u8 = 0x16;

const METHODS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"PRI ",
];

/// The first bytes of PROXY headers, versions 1 and 2.
const PROXY: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\n"];

/// The response to a client that speaks HTTP without TLS.
pub(crate) const HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 48\r\nConnection: close\r\n\r\n\
    This port speaks TLS: use https:// to reach it.\n";

/// The protocol of the first bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstBytes {
    Tls,
    Http,
    Proxy,
    Other,
    /// The peer closed the connection before it sent a byte.
    Closed,
}

/// Waits for the first byte. If it does not begin TLS, reads on until the protocol is known.
pub(crate) async fn sniff(stream: &mut TcpStream) -> io::Result<FirstBytes> {
    let mut bytes = [0; 8];
    if stream.peek(&mut bytes[..1]).await? == 0 {
        return Ok(FirstBytes::Closed);
    }
    if bytes[0] == HANDSHAKE {
        return Ok(FirstBytes::Tls);
    }
    let mut filled = 0;
    while METHODS.iter().chain(&PROXY).any(|known| known.starts_with(&bytes[..filled])) {
        match stream.read(&mut bytes[filled..]).await? {
            0 => break,
            n => filled += n,
        }
        if METHODS.iter().any(|method| bytes[..filled].starts_with(method)) {
            return Ok(FirstBytes::Http);
        }
        if PROXY.iter().any(|header| bytes[..filled].starts_with(header)) {
            return Ok(FirstBytes::Proxy);
        }
    }
    Ok(FirstBytes::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_length_of_the_response_is_right() {
        let text = std::str::from_utf8(HTTP_RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
