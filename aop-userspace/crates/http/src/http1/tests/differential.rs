//! httparse reads every head that is accepted, with the same parts. The exceptions, all in one
//! direction (httparse refuses, or leaves more in):
//!
//! - a target with bytes above 0x7f that are no UTF-8: httparse gives text, and refuses them;
//! - the fragment of a target, which is cut off here;
//! - Transfer-Encoding, which [`BodyLength`](crate::BodyLength) replaces, and the Content-Length of
//!   responses, which becomes one.

use proptest::prelude::*;

use super::{
    properties::{REQUESTS, RESPONSES, messages},
    requests, responses,
};
use crate::{Fields, RequestHead, Version};

/// The fields but those that frame the body.
fn own(fields: &Fields, without: &[&str]) -> Vec<(String, Vec<u8>)> {
    let names = fields.iter().map(|field| String::from_utf8(field.name.to_vec()).unwrap());
    let all = names.zip(fields.iter().map(|field| field.value.to_vec()));
    all.filter(|(name, _)| !without.contains(&&name[..])).collect()
}

fn others(fields: &[httparse::Header<'_>], without: &[&str]) -> Vec<(String, Vec<u8>)> {
    let all = fields.iter().map(|field| (field.name.to_ascii_lowercase(), field.value));
    all.filter(|(name, _)| !without.contains(&&name[..]))
        .map(|(name, value)| {
            let words = value.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii);
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            (name, words.join(&b' '))
        })
        .collect()
}

/// The target, put together again.
fn target(head: &RequestHead) -> Vec<u8> {
    match (head.scheme.is_empty(), head.path.is_empty()) {
        (true, true) => head.authority.clone(),
        (true, false) => head.path.clone(),
        (false, _) => [&head.scheme[..], b"://", &head.authority, &head.path].concat(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn httparse_reads_each_accepted_request_in_the_same_way(bytes in messages(REQUESTS)) {
        let (read, _) = requests([&bytes[..]]);
        let Some(first) = read.first() else { return Ok(()) };
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut other = httparse::Request::new(&mut fields);
        let parsed = other.parse(&bytes);
        let line = bytes.split(|byte| *byte == b'\n').find(|line| line.len() > 1).unwrap();
        if std::str::from_utf8(line).is_err() {
            prop_assert_eq!(parsed, Err(httparse::Error::Token));
            return Ok(());
        }
        prop_assert!(parsed.is_ok_and(|status| status.is_complete()), "{:?}", parsed);
        prop_assert_eq!(other.method.map(str::as_bytes), Some(&first.head.method[..]));
        prop_assert_eq!(other.version == Some(1), first.head.version == Version::Http11);
        let expected = other.path.unwrap().split('#').next().unwrap();
        let mut target = String::from_utf8(target(&first.head)).unwrap();
        if expected.len() != target.len() {
            // In absolute form, an empty path was completed.
            target = target.replacen("/?", "?", 1);
            let without = target.strip_suffix('/').unwrap_or(&target).to_owned();
            target = if target.contains('?') { target } else { without };
        }
        prop_assert!(expected.eq_ignore_ascii_case(&target), "{} {}", expected, target);
        let framing = ["transfer-encoding"];
        prop_assert_eq!(own(&first.head.fields, &framing), others(other.headers, &framing));
    }

    #[test]
    fn httparse_reads_each_accepted_response_in_the_same_way(bytes in messages(RESPONSES)) {
        let ((read, _), _) = responses(&["GET"], [&bytes[..]]);
        let Some(first) = read.first() else { return Ok(()) };
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut other = httparse::Response::new(&mut fields);
        let mut config = httparse::ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        let parsed = config.parse_response(&mut other, &bytes);
        prop_assert!(parsed.is_ok_and(|status| status.is_complete()), "{:?}", parsed);
        prop_assert_eq!(other.code, Some(first.head.status));
        let framing = ["transfer-encoding", "content-length"];
        prop_assert_eq!(own(&first.head.fields, &framing), others(other.headers, &framing));
    }
}
