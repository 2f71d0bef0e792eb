//! Cloudflare's global client CA, as a trust anchor: a subject and a public key.
//!
//! Cloudflare issued the certificate twice (2015, 2019) with the same key, so the key is trusted.
//! It proves that a peer belongs to the Cloudflare network, never to one customer's zone. Source:
//! <https://developers.cloudflare.com/ssl/static/authenticated_origin_pull_ca.pem>.

use rustls::pki_types::{Der, TrustAnchor};

/// Start of validity of the published certificate: 2019-10-10 18:45:00 UTC.
pub(crate) const NOT_BEFORE: u64 = 1_570_733_100;

/// End of its validity: 2029-11-01 17:00:00 UTC.
pub(crate) const NOT_AFTER: u64 = 1_888_246_800;

/// `C=US, O="CloudFlare, Inc.", OU=Origin Pull, L=San Francisco, ST=California,
/// CN=origin-pull.cloudflare.net`: one attribute per line, as SET, SEQUENCE, OBJECT IDENTIFIER
/// (2.5.4.x) and PrintableString.
const SUBJECT: &[u8] = b"\
    \x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02US\
    \x31\x19\x30\x17\x06\x03\x55\x04\x0a\x13\x10CloudFlare, Inc.\
    \x31\x14\x30\x12\x06\x03\x55\x04\x0b\x13\x0bOrigin Pull\
    \x31\x16\x30\x14\x06\x03\x55\x04\x07\x13\x0dSan Francisco\
    \x31\x13\x30\x11\x06\x03\x55\x04\x08\x13\x0aCalifornia\
    \x31\x23\x30\x21\x06\x03\x55\x04\x03\x13\x1aorigin-pull.cloudflare.net";

/// The algorithm (rsaEncryption), then the headers of the BIT STRING, of the SEQUENCE in it and of
/// the modulus, whose first byte is zero.
const KEY_HEAD: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\
    \x03\x82\x02\x0f\x00\x30\x82\x02\x0a\x02\x82\x02\x01\x00";

/// The exponent, 65537.
const KEY_TAIL: &[u8] = b"\x02\x03\x01\x00\x01";

const MODULUS: [u8; 512] = bytes(
    "\
     ddb2db3a2361f9746ca7e1a74009045795fa342a6c2c37b079af10fc0b9aa0cb\
     ab29c8e36b595d1e72f75e1907d66bc1b2ff2b93b8e9ec5dfcbba32675766f77\
     73731e6bb62433b28d31ce58ea6e76d04f6d1e8a1c7f5ab1783a464ac9d673b1\
     d689b1600fba99431f93fb27cdaadeb7bcf2341d804e61aa3a85677725086ee5\
     c6807084b69ace6dcd2499547f3764f7ba2e46f9c5180b97779710571f2360e3\
     9e53ad2c5aa98c7b840774ebe9a81f756c9a184122951635201de4e937cb4da4\
     a25f6fd2c89f7a6e9f76c2f4d28d1ed44a30d5f72a5fec00fabbabf0259ddbc0\
     d8ac370e4ba6da61d0506773547a9c3a079af411a32cada1ed2b97f77cd358bd\
     36bbbf7d76be9792b69dfd64a11dc85f8e346768bdf99e22540ebd36609b4f83\
     158e6ecadf394eb707c8ee2d4a615bfe013a38c9c801b997d8f5fff6941848bf\
     b047b996a56fd0fefc42bc68c51f8c317889c1069be4507c4c6fda73a9911e01\
     7d0a6917f74b9a461f8e0b4ed78d375f48a1913e933d841d9984ba25fe77fcaa\
     6a0b7680f91ef38366e2aedbe9ae29e5475e0c36fc0eb033b3b0ae29f1662c81\
     9391e10af6800c7ecf66953acffcefe4d5391d2bd788ab42cc5b83bb8fd97e2d\
     f845f1d778251f1c06f829f3515c9c0cb3151afb86694805f61ba467194e667a\
     e5e9539fd5f83409a7f7baf57cb263a4570e8332c1a10594895706a8d1440da9",
);

/// The anchor.
pub(crate) fn anchor() -> TrustAnchor<'static> {
    TrustAnchor {
        subject: Der::from_slice(SUBJECT),
        subject_public_key_info: [KEY_HEAD, &MODULUS, KEY_TAIL].concat().into(),
        name_constraints: None,
    }
}

const fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let hex = hex.as_bytes();
    assert!(hex.len() == 2 * N);
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = 16 * digit(hex[2 * at]) + digit(hex[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => panic!("not a hexadecimal digit"),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::{SiteFiles, pem, testing::shared_data, validity::Validity};

    /// SHA-256 of the SubjectPublicKeyInfo of Cloudflare's certificate, the same in both issues.
    const PUBLISHED: &str = "e2ef9fe85ac39f522dc773505f399875aa75ac10c49766ca899f8f99b07da34c";

    #[test]
    fn the_built_in_key_is_the_published_one() {
        let key = webpki::spki_for_anchor(&anchor());
        assert_eq!(HEXLOWER.encode(digest(&SHA256, &key).as_ref()), PUBLISHED);
    }

    #[test]
    fn shared_data_both_issues_have_the_built_in_subject_and_key() {
        let Some(shared) = shared_data() else { return };
        for name in ["authenticated_origin_pull_ca.pem", "authenticated_origin_pull_ca_2015.pem"] {
            let file = shared.join(name);
            let [certificate] = &pem::certificates(&file, &SiteFiles::on_disk()).unwrap()[..]
            else {
                panic!("{name} holds one certificate");
            };
            assert_eq!(webpki::anchor_from_trusted_cert(certificate).unwrap(), anchor(), "{name}");
        }
    }

    #[test]
    fn shared_data_the_built_in_dates_are_those_of_the_newer_issue() {
        let Some(shared) = shared_data() else { return };
        let file = shared.join("authenticated_origin_pull_ca.pem");
        let certificates = pem::certificates(&file, &SiteFiles::on_disk()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificates[0]).unwrap();
        let validity = Validity { not_before: NOT_BEFORE, not_after: NOT_AFTER };
        assert_eq!(Validity::from(&parsed), validity);
    }
}
