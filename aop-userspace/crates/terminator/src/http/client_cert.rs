//! The edge's certificate as a header field (RFC 9440): a byte sequence as in RFC 8941.

use hyper::http::HeaderValue;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of `Client-Cert` for a certificate in DER.
pub(super) fn value(certificate: &[u8]) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(certificate.len().div_ceil(3) * 4 + 2);
    text.push(b':');
    for three in certificate.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            text.push(match place <= three.len() {
                true => ALPHABET[(bits >> (18 - 6 * place) & 63) as usize],
                false => b'=',
            });
        }
    }
    text.push(b':');
    HeaderValue::from_maybe_shared(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_base64_between_colons() {
        for (bytes, text) in [
            (&b""[..], "::"),
            (b"f", ":Zg==:"),
            (b"fo", ":Zm8=:"),
            (b"foo", ":Zm9v:"),
            (b"\xff\xfe\xfdb", "://79Yg==:"),
        ] {
            assert_eq!(value(bytes).unwrap(), text);
        }
    }
}
