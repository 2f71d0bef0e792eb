//! The WebSocket handshake with an HTTP/1.1 upstream (RFC 6455), for a peer that asked with an
//! extended CONNECT (RFC 8441): over HTTP/2 the handshake has neither a key nor its confirmation.

use std::hash::{BuildHasher, RandomState};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::BASE64;

/// RFC 6455, 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A new `Sec-WebSocket-Key`. It is no secret: it only has to differ from others.
pub(super) fn new_key() -> String {
    let random = || RandomState::new().hash_one(GUID).to_ne_bytes();
    BASE64.encode(&[random(), random()].concat())
}

/// Whether `accept`, a `Sec-WebSocket-Accept`, confirms `key`.
pub(super) fn confirms(accept: &[u8], key: &[u8]) -> bool {
    let confirmed = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    accept == BASE64.encode(confirmed.as_ref()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_is_confirmed() {
        let key = b"dGhlIHNhbXBsZSBub25jZQ==";
        assert!(confirms(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", key));
        assert!(!confirms(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", key));
        assert!(!confirms(b"", key));
    }

    #[test]
    fn each_key_is_new_and_has_16_bytes() {
        let (one, two) = (new_key(), new_key());
        assert_ne!(one, two);
        assert_eq!(BASE64.decode(one.as_bytes()).unwrap().len(), 16);
    }
}
