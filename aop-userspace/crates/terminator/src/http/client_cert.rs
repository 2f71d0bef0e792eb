//! The edge's certificate as a header field (RFC 9440): a byte sequence as in RFC 8941.

use data_encoding::BASE64;

/// The value of `Client-Cert` for a certificate in DER.
pub(super) fn value(certificate: &[u8]) -> String {
    format!(":{}:", BASE64.encode(certificate))
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
            assert_eq!(value(bytes), text);
        }
    }
}
