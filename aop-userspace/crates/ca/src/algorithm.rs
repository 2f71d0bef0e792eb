//! The kinds of keys that are made here.

use std::{fmt, str::FromStr};

/// The kind of a new key. Cloudflare takes all of them for an uploaded certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: every program reads it.
    #[default]
    EcdsaP256,
    /// RSA with 3072 bits.
    Rsa3072,
    /// ML-DSA-44 (FIPS 204): OpenSSL reads it from version 3.5 on. Only TLS 1.3 has it.
    MlDsa44,
}

impl KeyAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EcdsaP256, Self::Rsa3072, Self::MlDsa44];

    /// The name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa3072 => "rsa-3072",
            Self::MlDsa44 => "ml-dsa-44",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|it| it.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no kind of key that aop makes; it makes {names}")
        })
    }
}
