//! Arbitrary bytes in a JSON string: each byte is the character with that code point.
//!
//! PEM and paths are nearly always ASCII, so they keep their length and stay legible.

use std::{
    ffi::OsString,
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Arbitrary bytes. `Debug` does not show them: they may be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct ByteString(pub Vec<u8>);

impl ByteString {
    pub(crate) fn of_path(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }

    pub(crate) fn into_path(self) -> PathBuf {
        OsString::from_vec(self.0).into()
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| char::from(*byte)).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.chars().map(|letter| u8::try_from(u32::from(letter)));
        let bytes = bytes.collect::<Result<_, _>>();
        bytes.map(Self).map_err(|_| D::Error::custom("a character above U+00FF is not a byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let all = ByteString((0..=255).collect());
        let text = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<ByteString>(&text).expect("bytes"), all);
        serde_json::from_str::<ByteString>("\"€\"").expect_err("no byte");
        assert_eq!(
            serde_json::to_string(&ByteString(b"-----BEGIN".into())).expect("JSON").len(),
            12
        );
    }
}
