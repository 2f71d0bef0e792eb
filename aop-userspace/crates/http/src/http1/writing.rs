//! Writes messages, piece by piece, into a buffer of the caller. The caller gives valid parts:
//! those that a reader of this crate gave are valid.

use crate::fields::Fields;

/// The spelling of field names. They are case-insensitive (RFC 9110, 5.1), and some old
/// applications know only one spelling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameCase {
    /// `content-type`.
    #[default]
    Lower,
    /// `Content-Type`.
    Title,
}

/// Writes the request line, with HTTP/1.1.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], path: &[u8]) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(path);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes the status line, with HTTP/1.1 and the registered reason phrase. A status without one has
/// an empty phrase (RFC 9112, 4).
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    let digit = |place: u16| b"0123456789"[usize::from(status / place % 10)];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a field. `name` is in lower case.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8], case: NameCase) {
    let start = out.len();
    out.extend_from_slice(name);
    match case {
        NameCase::Lower => {}
        NameCase::Title => {
            for word in out[start..].split_mut(|byte| *byte == b'-') {
                if let Some(first) = word.first_mut() {
                    first.make_ascii_uppercase();
                }
            }
        }
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the empty line after the fields.
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Writes `data` as a chunk, and nothing if it is empty: an empty chunk would be the last one.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let bits = usize::BITS - data.len().leading_zeros();
    for place in (0..bits.div_ceil(4)).rev() {
        out.push(b"0123456789abcdef"[data.len() >> (4 * place) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailer fields. It leaves out those that belong into a head: a
/// recipient may merge trailers into the head (RFC 9110, 6.5.1).
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields, case: NameCase) {
    out.extend_from_slice(b"0\r\n");
    for each in trailers.iter().filter(|each| !is_for_heads(each.name)) {
        field(out, each.name, each.value, case);
    }
    end_of_head(out);
}

/// Whether the field decides about framing, routing, authentication, or the reading of the content.
fn is_for_heads(name: &[u8]) -> bool {
    matches!(
        name,
        b"authorization"
            | b"cache-control"
            | b"connection"
            | b"content-encoding"
            | b"content-length"
            | b"content-range"
            | b"content-type"
            | b"cookie"
            | b"expect"
            | b"host"
            | b"keep-alive"
            | b"max-forwards"
            | b"proxy-authorization"
            | b"proxy-connection"
            | b"set-cookie"
            | b"te"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

/// The phrases of the registry of status codes (RFC 9110, 16.2.1).
const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_registered_phrase_or_none() {
        for (status, line) in [
            (200, "HTTP/1.1 200 OK\r\n"),
            (404, "HTTP/1.1 404 Not Found\r\n"),
            (100, "HTTP/1.1 100 Continue\r\n"),
            (599, "HTTP/1.1 599 \r\n"),
        ] {
            let mut out = Vec::new();
            status_line(&mut out, status);
            assert_eq!(out, line.as_bytes());
        }
    }

    #[test]
    fn the_phrases_are_those_of_the_crate_http_but_for_four_of_rfc_9110() {
        for status in 100..=999 {
            let known = http::StatusCode::from_u16(status).unwrap().canonical_reason();
            let expected = match status {
                203 => "Non-Authoritative Information",
                413 => "Content Too Large",
                422 => "Unprocessable Content",
                // RFC 9110, 15.5.19: it is reserved.
                418 => "",
                _ => known.unwrap_or_default(),
            };
            assert_eq!(reason(status), expected, "{status}");
        }
    }

    #[test]
    fn a_name_in_title_case_has_a_capital_after_each_hyphen() {
        for (name, title) in [
            ("content-type", "Content-Type"),
            ("x-2fa--id-", "X-2fa--Id-"),
            ("te", "Te"),
            ("-", "-"),
        ] {
            let mut out = b"a-b".to_vec();
            field(&mut out, name.as_bytes(), b"a-b", NameCase::Title);
            field(&mut out, name.as_bytes(), b"a-b", NameCase::Lower);
            let text = format!("a-b{title}: a-b\r\n{name}: a-b\r\n");
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn an_empty_chunk_is_not_written_and_sizes_are_hexadecimal() {
        let mut out = Vec::new();
        chunk(&mut out, b"");
        assert!(out.is_empty());
        for size in [1, 9, 15, 16, 255, 256, 4096, 65535, 65536, 100_000] {
            out.clear();
            chunk(&mut out, &vec![b'x'; size]);
            assert!(out.starts_with(format!("{size:x}\r\nx").as_bytes()), "{size}");
            assert!(out.ends_with(b"x\r\n") && out.len() == size + 4 + format!("{size:x}").len());
        }
    }

    #[test]
    fn trailers_hold_no_field_that_belongs_into_a_head() {
        let mut trailers = Fields::default();
        for name in ["grpc-status", "Content-Length", "HOST", "x-sum", "transfer-encoding"] {
            trailers.push(name.as_bytes(), b"0");
        }
        let mut out = Vec::new();
        last_chunk(&mut out, &trailers, NameCase::Title);
        assert_eq!(out, b"0\r\nGrpc-Status: 0\r\nX-Sum: 0\r\n\r\n");
    }
}
