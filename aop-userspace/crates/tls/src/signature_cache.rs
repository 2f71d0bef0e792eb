//! A cache of signatures on certificates and revocation lists that were found valid.
//!
//! The edge presents the same certificate in every handshake. Whether a signature fits a key and a
//! message is arithmetic: it depends neither on the time nor on the CAs of a site. The cache saves
//! that arithmetic and nothing else: path, dates, names, usage and revocation are checked each
//! time. A handshake signature covers a different message each time, and is never looked up.

use std::{collections::HashSet, mem, sync::LazyLock};

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use rustls::{
    crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm},
};

/// Signatures per generation; there are two generations. webpki verifies from the anchor downwards,
/// so a peer without a certificate that leads to an anchor cannot add an entry.
const GENERATION_SIZE: usize = 1024;

/// aws-lc-rs, with this cache for the signatures in chains.
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = crypto::aws_lc_rs::default_provider();
    provider.signature_verification_algorithms = *ALGORITHMS;
    provider
}

static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let plain = crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let caching =
        plain.all.iter().map(|algorithm| -> &'static dyn SignatureVerificationAlgorithm {
            Box::leak(Box::new(CachingAlgorithm(*algorithm)))
        });
    WebPkiSupportedAlgorithms { all: Vec::leak(caching.collect()), mapping: plain.mapping }
});

static CACHE: LazyLock<Mutex<SignatureCache>> = LazyLock::new(Mutex::default);

/// An algorithm that does not verify a known valid signature again.
#[derive(Debug)]
struct CachingAlgorithm(&'static dyn SignatureVerificationAlgorithm);

/// Two generations: the older one is dropped when the younger one is full.
#[derive(Default)]
struct SignatureCache {
    younger: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl SignatureVerificationAlgorithm for CachingAlgorithm {
    fn verify_signature(
        &self,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let digest = self.digest([key, message, signature]);
        if CACHE.lock().contains(digest) {
            return Ok(());
        }
        self.0.verify_signature(key, message, signature)?;
        CACHE.lock().add(digest);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

impl CachingAlgorithm {
    /// The hash of every input of the verification. The lengths are hashed too, so that the same
    /// bytes split differently give another hash.
    fn digest(&self, inputs: [&[u8]; 3]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let algorithm = [self.public_key_alg_id(), self.signature_alg_id()];
        for part in algorithm.iter().map(AsRef::as_ref).chain(inputs) {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

impl SignatureCache {
    /// A lookup moves the entry to the younger generation, so that entries in use stay.
    fn contains(&mut self, digest: [u8; 32]) -> bool {
        if self.younger.contains(&digest) {
            return true;
        }
        let known = self.older.contains(&digest);
        if known {
            self.add(digest);
        }
        known
    }

    fn add(&mut self, digest: [u8; 32]) {
        if self.younger.len() >= GENERATION_SIZE {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(digest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Accepts a signature that is the message reversed, and counts its verifications.
    #[derive(Debug)]
    struct Backwards(AtomicUsize);

    impl SignatureVerificationAlgorithm for Backwards {
        fn verify_signature(
            &self,
            _: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Relaxed);
            let fits = message.iter().rev().eq(signature);
            fits.then_some(()).ok_or(InvalidSignature)
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            AlgorithmIdentifier::from_slice(b"backwards")
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            AlgorithmIdentifier::from_slice(b"backwards")
        }
    }

    fn backwards() -> (&'static Backwards, CachingAlgorithm) {
        let plain: &'static Backwards = Box::leak(Box::new(Backwards(AtomicUsize::new(0))));
        (plain, CachingAlgorithm(plain))
    }

    #[test]
    fn a_valid_signature_is_verified_once_and_an_invalid_one_every_time() {
        let (plain, caching) = backwards();
        for _ in 0..3 {
            assert!(caching.verify_signature(b"key", b"once", b"ecno").is_ok());
        }
        assert_eq!(plain.0.load(Relaxed), 1);
        for _ in 0..3 {
            assert!(caching.verify_signature(b"key", b"once", b"once").is_err());
        }
        assert_eq!(plain.0.load(Relaxed), 4);
    }

    #[test]
    fn another_key_or_another_split_of_the_bytes_is_not_found_in_the_cache() {
        let (plain, caching) = backwards();
        assert!(caching.verify_signature(b"a", b"abc", b"cba").is_ok());
        // Another key, then the same bytes split in other places.
        assert!(caching.verify_signature(b"b", b"abc", b"cba").is_ok());
        assert_eq!(plain.0.load(Relaxed), 2);
        for (key, message, signature) in
            [("aa", "bc", "cba"), ("a", "ab", "ccba"), ("a", "abcc", "ba"), ("", "aabc", "cba")]
        {
            let [key, message, signature] = [key, message, signature].map(str::as_bytes);
            assert!(caching.verify_signature(key, message, signature).is_err());
        }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_the_entries_in_use() {
        let mut cache = SignatureCache::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            digest
        };
        for number in 0..10 * GENERATION_SIZE {
            cache.add(digest(number));
            assert!(cache.contains(digest(0)), "{number}");
            assert!(cache.younger.len() + cache.older.len() <= 2 * GENERATION_SIZE);
        }
        assert!(!cache.contains(digest(1)));
        // Of the others, the last ones stay for as long as a generation is not full.
        let last = 10 * GENERATION_SIZE - GENERATION_SIZE / 2;
        assert!((last..10 * GENERATION_SIZE).all(|number| cache.contains(digest(number))));
    }
}
