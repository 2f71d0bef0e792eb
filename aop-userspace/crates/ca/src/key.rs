//! Private and public keys. aws-lc, which holds the private ones, overwrites them when they are
//! dropped.

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, KeyPair, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING,
        PqdsaKeyPair, PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use data_encoding::HEXLOWER;
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ML_DSA_44, PKCS_ML_DSA_65, PKCS_ML_DSA_87,
    PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use crate::{KeyAlgorithm, KeyError};

/// The fewest bits of an RSA key.
pub(crate) const LEAST_RSA_BITS: usize = 2048;

/// A private key, which signs certificates and requests.
pub struct PrivateKey {
    signer: Signer,
    algorithm: &'static SignatureAlgorithm,
}

enum Signer {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

type Ecdsa = (&'static EcdsaSigningAlgorithm, &'static SignatureAlgorithm);
type MlDsa = (&'static PqdsaSigningAlgorithm, &'static SignatureAlgorithm);

const P256: Ecdsa = (&ECDSA_P256_SHA256_ASN1_SIGNING, &PKCS_ECDSA_P256_SHA256);
const P384: Ecdsa = (&ECDSA_P384_SHA384_ASN1_SIGNING, &PKCS_ECDSA_P384_SHA384);
const ML_DSA_44: MlDsa = (&ML_DSA_44_SIGNING, &PKCS_ML_DSA_44);
const ML_DSA_65: MlDsa = (&ML_DSA_65_SIGNING, &PKCS_ML_DSA_65);
const ML_DSA_87: MlDsa = (&ML_DSA_87_SIGNING, &PKCS_ML_DSA_87);

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let made = match algorithm {
            KeyAlgorithm::EcdsaP256 => {
                EcdsaKeyPair::generate(P256.0).map(|key| (Signer::Ecdsa(key), P256.1))
            }
            KeyAlgorithm::Rsa3072 => RsaKeyPair::generate(KeySize::Rsa3072)
                .map(|key| (Signer::Rsa(key), &PKCS_RSA_SHA256)),
            KeyAlgorithm::MlDsa44 => {
                PqdsaKeyPair::generate(ML_DSA_44.0).map(|key| (Signer::MlDsa(key), ML_DSA_44.1))
            }
        };
        let (signer, algorithm) = made.map_err(|_| KeyError::Generate(algorithm.name()))?;
        Ok(Self { signer, algorithm })
    }

    /// Reads a key in DER.
    ///
    /// # Errors
    /// It is damaged, or its kind does not serve.
    pub(crate) fn from_der(key: &PrivateKeyDer<'_>) -> Result<Self, KeyError> {
        let der = key.secret_der();
        for (signing, algorithm) in [P256, P384] {
            if let Ok(key) = EcdsaKeyPair::from_private_key_der(signing, der) {
                return Ok(Self { signer: Signer::Ecdsa(key), algorithm });
            }
        }
        for (signing, algorithm) in [ML_DSA_44, ML_DSA_65, ML_DSA_87] {
            if let Ok(key) = PqdsaKeyPair::from_pkcs8(signing, der) {
                return Ok(Self { signer: Signer::MlDsa(key), algorithm });
            }
        }
        let rsa = if let PrivateKeyDer::Pkcs8(_) = key {
            RsaKeyPair::from_pkcs8(der)
        } else {
            RsaKeyPair::from_der(der)
        };
        match rsa {
            Ok(key) if key.public_modulus_len() * 8 >= LEAST_RSA_BITS => {
                Ok(Self { signer: Signer::Rsa(key), algorithm: &PKCS_RSA_SHA256 })
            }
            Ok(_) | Err(_) => Err(KeyError::Unknown),
        }
    }

    /// The key as PKCS #8, of ML-DSA the seed alone.
    pub(crate) fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der = match &self.signer {
            Signer::Ecdsa(key) => key.to_pkcs8v1().map(|it| Zeroizing::new(it.as_ref().to_vec())),
            Signer::Rsa(key) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(key).map(|it| Zeroizing::new(it.as_ref().to_vec()))
            }
            Signer::MlDsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(&key.private_key())
                .map(|it| Zeroizing::new(it.as_ref().to_vec())),
        };
        der.map_err(|_| KeyError::Unknown)
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo), in hex.
    #[must_use]
    pub fn spki_sha256(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, &self.subject_public_key_info()).as_ref())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey { algorithm: self.algorithm, bytes: self.der_bytes().to_vec() }
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = match &self.signer {
            Signer::Ecdsa(key) => {
                key.sign(&SystemRandom::new(), message).map(|it| it.as_ref().to_vec())
            }
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map(|()| signature)
            }
            Signer::MlDsa(key) => {
                let mut signature = vec![0; key.algorithm().signature_len()];
                key.sign(message, &mut signature).map(|_| signature)
            }
        };
        signed.map_err(|_| rcgen::Error::RingUnspecified)
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.signer {
            Signer::Ecdsa(key) => key.public_key().as_ref(),
            Signer::Rsa(key) => key.public_key().as_ref(),
            Signer::MlDsa(key) => key.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// A public key, of the holder of a certificate.
#[derive(Clone, Debug)]
pub struct PublicKey {
    pub(crate) algorithm: &'static SignatureAlgorithm,
    /// The content of its BIT STRING.
    pub(crate) bytes: Vec<u8>,
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}
