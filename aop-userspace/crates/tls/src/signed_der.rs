//! The signature of a certificate or a revocation list, and whether a key made it.
//!
//! Both are a SEQUENCE of what is signed, the algorithm, and the signature (RFC 5280, 4.1.1 and
//! 5.1.1). webpki verifies a list only within a handshake; here it happens when the list is loaded.

use rustls::{crypto::WebPkiSupportedAlgorithms, pki_types::SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;
use x509_parser::{asn1_rs::Any, prelude::FromDer};

/// The tag byte of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// A certificate or revocation list, taken apart.
pub(crate) struct SignedDer<'a> {
    /// The signed part, as a DER element.
    pub(crate) message: Element<'a>,
    /// The content of the AlgorithmIdentifier.
    pub(crate) algorithm: &'a [u8],
    signature: &'a [u8],
}

/// A signer of lists: a client CA of a site, or an intermediate CA below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Signer {
    /// Its DER name, without the outer SEQUENCE header.
    pub(crate) name: Vec<u8>,
    pub(crate) key: SubjectPublicKeyInfoDer<'static>,
}

/// A DER element.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u32,
    /// With its header.
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
}

impl<'a> SignedDer<'a> {
    /// `None` if `der` does not have that form.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut parts = elements(elements(der).next()?.content);
        let (message, algorithm, signature) = (parts.next()?, parts.next()?, parts.next()?);
        // A BIT STRING begins with the number of its unused bits.
        let [0, signature @ ..] = signature.content else { return None };
        Some(Self { message, algorithm: algorithm.content, signature })
    }
}

impl Signer {
    /// Whether its key made the signature.
    pub(crate) fn signed(&self, it: &SignedDer<'_>, known: &WebPkiSupportedAlgorithms) -> bool {
        let Ok(key) = RawPublicKeyEntity::try_from(&self.key) else { return false };
        known
            .all
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == it.algorithm)
            .any(|algorithm| {
                key.verify_signature(*algorithm, it.message.whole, it.signature).is_ok()
            })
    }
}

/// The DER elements that follow each other in `der`, up to the first that is malformed.
pub(crate) fn elements(mut der: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let (rest, any) = Any::from_der(der).ok()?;
        let whole = &der[..der.len() - rest.len()];
        der = rest;
        Some(Element { tag: any.tag().0, whole, content: any.data })
    })
}

/// A DER element with this tag byte and content.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    match &length[zeros..] {
        [] => vec![tag, 0],
        [short @ ..=0x7f] => [&[tag, *short], content].concat(),
        // The first byte says how many bytes the length takes; there are at most 8.
        long => {
            let count = u8::try_from(long.len()).unwrap_or(u8::MAX);
            [&[tag, 0x80 + count], long, content].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_of_any_length_is_written_in_the_shortest_form_and_read_again() {
        for (length, header) in [
            (0, &[0x04, 0][..]),
            (1, &[0x04, 1]),
            (0x7f, &[0x04, 0x7f]),
            (0x80, &[0x04, 0x81, 0x80]),
            (0xff, &[0x04, 0x81, 0xff]),
            (0x100, &[0x04, 0x82, 1, 0]),
            (0x1_2345, &[0x04, 0x83, 1, 0x23, 0x45]),
        ] {
            let content = vec![7; length];
            let der = element(4, &content);
            assert_eq!(der, [header, &content].concat(), "{length}");
            // The next element does not belong to it.
            let two = [&der[..], &element(SEQUENCE, b"x")].concat();
            let read: Vec<_> =
                elements(&two).map(|it| (it.tag, it.whole.to_vec(), it.content.to_vec())).collect();
            let next = (16, vec![SEQUENCE, 1, b'x'], b"x".to_vec());
            assert_eq!(read, [(4, der, content), next]);
        }
    }

    #[test]
    fn elements_end_before_the_first_that_is_malformed() {
        let der = [element(4, b"x"), vec![4, 9, 0]].concat();
        assert_eq!(elements(&der).map(|it| it.content).collect::<Vec<_>>(), [b"x"]);
    }
}
