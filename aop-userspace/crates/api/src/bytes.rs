//! Bytes of any kind in a JSON string: each is the character of its number.
//!
//! PEM and paths are ASCII nearly always, and stay as long as they are and legible.

use std::{
    ffi::OsString,
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Bytes of any kind. Never shown: they may be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub(crate) fn of_path(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }

    pub(crate) fn into_path(self) -> PathBuf {
        OsString::from_vec(self.0).into()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| char::from(*byte)).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.chars().map(|letter| u8::try_from(u32::from(letter)));
        let bytes = bytes.collect::<Result<_, _>>();
        bytes.map(Self).map_err(|_| D::Error::custom("a letter that stands for no byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all = Bytes((0..=255).collect());
        let text = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Bytes>(&text).expect("bytes"), all);
        serde_json::from_str::<Bytes>("\"€\"").expect_err("no byte");
        assert_eq!(serde_json::to_string(&Bytes(b"-----BEGIN".into())).expect("JSON").len(), 12);
    }
}
