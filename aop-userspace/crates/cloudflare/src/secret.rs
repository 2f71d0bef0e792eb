//! Secrets: the API token and private keys. Neither is ever printed; both are wiped from memory.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A text that is never printed. Only messages to the process that talks to the API have it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Zeroizing<String>);

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiToken(SecretText);

/// A leaf, with its intermediates if it has any, and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAndKey {
    /// The certificates, leaf first.
    pub certificate: String,
    /// The key, as PKCS #8; of ML-DSA the seed alone.
    pub private_key: SecretText,
}

impl SecretText {
    /// The secret. The caller must not print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl ApiToken {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for ApiToken {
    type Err = String;

    /// The error does not quote the text: it may be a token with a mistake in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if token.is_empty() {
            return Err("it is empty; write the token into it".to_owned());
        }
        if token.starts_with("Bearer ") || token.contains("Authorization") {
            return Err("it has the whole header; write the token alone into it".to_owned());
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.len() > 512 || !token.bytes().all(known) {
            return Err("it is not an API token, which is one line of letters and digits".into());
        }
        Ok(Self(SecretText(Zeroizing::new(token.to_owned()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_no_error_quotes_it() {
        let token: ApiToken = " v1.abc-DEF_123\n".parse().expect("a token");
        assert_eq!(token.expose(), "v1.abc-DEF_123");
        for (text, cure) in [
            ("\n", "write the token into it"),
            ("Bearer sesame", "write the token alone"),
            ("Authorization: Bearer sesame", "write the token alone"),
            ("ses ame", "one line"),
            ("sesame\r\nX: y", "one line"),
            ("sesame\u{e4}", "one line"),
        ] {
            let error = text.parse::<ApiToken>().expect_err(text);
            assert!(error.contains(cure) && !error.contains("ses"), "{error}");
        }
        "x".repeat(513).parse::<ApiToken>().expect_err("no token is so long");
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let token: ApiToken = "sesame".parse().expect("a token");
        let pair = CertificateAndKey {
            certificate: "PEM".to_owned(),
            private_key: Zeroizing::new("open".to_owned()).into(),
        };
        let shown = format!("{token:?} {pair:?}");
        assert!(!shown.contains("sesame") && !shown.contains("open"), "{shown}");
        assert!(shown.contains("(secret)") && shown.contains("PEM"), "{shown}");
    }
}
