//! Private keys as PEM text, plain or under a passphrase.
//!
//! The protection is PBES2 (RFC 8018) with scrypt and AES-256-CBC. OpenSSL reads scrypt only up to
//! 32 MiB of memory, which is why its cost is raised by `p`, and not by `N`.

use aop_tls::{Section, SectionContent, sections};
use aws_lc_rs::rand;
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument,
    pkcs5::{self, pbes2, scrypt},
};
use rustls_pki_types::PrivateKeyDer;
use zeroize::{Zeroize, Zeroizing};

use crate::{KeyError, PrivateKey};

/// The logarithm of scrypt's `N`, its `r` and its `p`: 16 MiB, five times over.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// A passphrase.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The fewest bytes of a passphrase for a new key.
    pub const LEAST: usize = 8;

    /// The first line of `text`, without its end; `None` if it is empty.
    #[must_use]
    pub fn first_line(text: &[u8]) -> Option<Self> {
        let line = text.split(|byte| *byte == b'\n').next()?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then(|| Self(Zeroizing::new(line.to_vec())))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A private key in DER, which is overwritten when it is dropped.
pub struct SecretDer(PrivateKeyDer<'static>);

impl SecretDer {
    /// The key of a PEM file. `passphrase` is asked only for a key that needs it; `None` from it
    /// means that there is none.
    ///
    /// # Errors
    /// There is no key, or it does not open.
    pub fn from_pem<E: From<KeyError>>(
        text: &[u8],
        passphrase: impl FnOnce() -> Result<Option<Passphrase>, E>,
    ) -> Result<Self, E> {
        let mut found: Option<(usize, SectionContent)> = None;
        for Section { line, content } in sections(text).map_err(KeyError::from)? {
            match content {
                SectionContent::Key(_) | SectionContent::EncryptedKey(_) => match found {
                    Some((first, _)) => return Err(KeyError::Two([first, line]).into()),
                    None => found = Some((line, content)),
                },
                SectionContent::OlderEncryptedKey => return Err(KeyError::OlderEncryption.into()),
                SectionContent::Certificate(_)
                | SectionContent::Crl(_)
                | SectionContent::Request(_)
                | SectionContent::Other => {}
            }
        }
        match found {
            Some((_, SectionContent::Key(key))) => Ok(Self(key)),
            Some((_, SectionContent::EncryptedKey(der))) => {
                let passphrase = passphrase()?.ok_or(KeyError::Encrypted)?;
                Ok(decrypted(&der, &passphrase)?)
            }
            Some(_) | None => Err(KeyError::Missing.into()),
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl Drop for SecretDer {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PrivateKey {
    /// Reads the key of a PEM file, as [`SecretDer::from_pem`] does.
    ///
    /// # Errors
    /// There is no key, it does not open, or its kind does not serve.
    pub fn from_pem<E: From<KeyError>>(
        text: &[u8],
        passphrase: impl FnOnce() -> Result<Option<Passphrase>, E>,
    ) -> Result<Self, E> {
        Ok(Self::from_der(SecretDer::from_pem(text, passphrase)?.key())?)
    }

    /// The key as PEM text (PKCS #8), without protection. An ML-DSA key is its seed alone, as
    /// Cloudflare wants it.
    ///
    /// # Errors
    /// The key has no such form: an ML-DSA key that was read without its seed.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        key_pem(&self.pkcs8()?, None)
    }

    /// The key as PEM text, under `passphrase`.
    ///
    /// # Errors
    /// As [`PrivateKey::to_pem`].
    pub fn to_encrypted_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
        key_pem(&self.pkcs8()?, Some(passphrase))
    }
}

/// The PEM text of the key `pkcs8`, under `passphrase` if there is one.
///
/// # Errors
/// The cryptographic library refuses.
pub fn key_pem(
    pkcs8: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<Zeroizing<String>, KeyError> {
    let Some(passphrase) = passphrase else { return pem("PRIVATE KEY", pkcs8) };
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(|_| KeyError::Unknown)?;
    let (log_n, r, p) = SCRYPT;
    let cost = scrypt::Params::new(log_n, r, p).map_err(|_| KeyError::Unknown)?;
    let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        .map_err(|error| KeyError::Encryption(error.into()))?;
    let key = PrivateKeyInfoRef::try_from(pkcs8).map_err(KeyError::Encryption)?;
    let sealed =
        key.encrypt_with_params(scheme, passphrase.as_bytes()).map_err(KeyError::Encryption)?;
    pem("ENCRYPTED PRIVATE KEY", sealed.as_bytes())
}

fn pem(label: &'static str, der: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let document = SecretDocument::try_from(der).map_err(|_| KeyError::Unknown)?;
    document.to_pem(label, LineEnding::LF).map_err(|_| KeyError::Unknown)
}

fn decrypted(der: &[u8], passphrase: &Passphrase) -> Result<SecretDer, KeyError> {
    let sealed = EncryptedPrivateKeyInfoRef::try_from(der).map_err(KeyError::Encryption)?;
    let opened = sealed.decrypt(passphrase.as_bytes()).map_err(|error| {
        use pkcs5::Error::{NoPbes1CryptSupport, UnsupportedAlgorithm};
        if let pkcs8::Error::EncryptedPrivateKey(
            NoPbes1CryptSupport | UnsupportedAlgorithm { .. },
        ) = error
        {
            KeyError::Encryption(error)
        } else {
            // A wrong passphrase leaves bytes that are neither padded nor DER.
            KeyError::WrongPassphrase
        }
    })?;
    Ok(SecretDer(PrivateKeyDer::Pkcs8(opened.as_bytes().to_vec().into())))
}
