//! The private key of an operator. aws-lc overwrites it when it is dropped.

use aop_ca::{KeyError, Passphrase, SecretDer, key_pem};
use aop_config::OperatorKey;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

/// An Ed25519 key, which signs orders.
pub struct OperatorSecret {
    pair: Ed25519KeyPair,
    public: OperatorKey,
}

impl OperatorSecret {
    /// Makes a new key.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn generate() -> Result<Self, KeyError> {
        Self::of(Ed25519KeyPair::generate().map_err(|_| KeyError::Generate("ed25519"))?)
    }

    /// Reads the key of a PEM file. `passphrase` is asked only for a key that needs it.
    ///
    /// # Errors
    /// There is no key, it does not open, or it is of another kind.
    pub fn from_pem<E: From<KeyError>>(
        text: &[u8],
        passphrase: impl FnOnce() -> Result<Option<Passphrase>, E>,
    ) -> Result<Self, E> {
        let der = SecretDer::from_pem(text, passphrase)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.key().secret_der())
            .map_err(|_| KeyError::NotEd25519)?;
        Ok(Self::of(pair)?)
    }

    /// The key as PEM text (PKCS #8), under `passphrase` if there is one.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn to_pem(&self, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, KeyError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| KeyError::Unknown)?;
        key_pem(der.as_ref(), passphrase)
    }

    /// The public key: the one that hosts name in `fleet.operators`.
    #[must_use]
    pub fn public_key(&self) -> OperatorKey {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public: [u8; 32] =
            pair.public_key().as_ref().try_into().map_err(|_| KeyError::Unknown)?;
        Ok(Self { pair, public: public.into() })
    }
}
