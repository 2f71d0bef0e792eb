//! The signature of a certificate or a revocation list, and whether a key made it.
//!
//! Both are a SEQUENCE of what is signed, the algorithm, and the signature (RFC 5280, 4.1.1 and
//! 5.1.1). webpki verifies a list only within a handshake; here it happens when the list is loaded.

use rustls::{crypto::WebPkiSupportedAlgorithms, pki_types::SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;
use x509_parser::{asn1_rs::Any, prelude::FromDer};

/// A certificate or revocation list, taken apart.
pub(crate) struct SignedDer<'a> {
    /// The signed part, as a DER element.
    pub(crate) message: Element<'a>,
    /// The content of the AlgorithmIdentifier.
    algorithm: &'a [u8],
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
