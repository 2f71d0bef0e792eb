//! Text from an untrusted source, made safe for a terminal, a log and the journal.
//!
//! A source may be a peer, an upstream, the server of a list, or another process of aop that an
//! attacker may have taken over. Its text must not move the cursor, colour the terminal, start a
//! line, or change the direction of writing (U+202E). Such characters are escaped as in a Rust
//! string, and the length is bounded.
//!
//! Quotes and backslashes stay, so escaping twice is the same as escaping once. A format in which
//! they have a meaning must quote the text again.

#[cfg(test)]
mod tests;

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Escaped text of at most `MAX` characters, and `…` if it was longer.
///
/// It is cleaned whenever it is made, also when it is deserialized. So a field of this type in a
/// message never holds the raw text of the sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SafeText<const MAX: usize>(String);

impl<const MAX: usize> SafeText<MAX> {
    /// `text`, escaped and cut.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(shorten(escape(text), MAX))
    }

    /// The safe text as a string.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> Deref for SafeText<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for SafeText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for SafeText<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

/// A message in which every string is a [`SafeText`], whatever the type of its field.
///
/// For messages of many fields: a string field that a later version adds is clean, too. The message
/// must not hold strings that are compared with raw ones, such as paths.
#[derive(Debug)]
pub struct Cleaned<T, const MAX: usize>(
    /// The message.
    pub T,
);

impl<'de, T: DeserializeOwned, const MAX: usize> Deserialize<'de> for Cleaned<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut message = Value::deserialize(deserializer)?;
        clean::<MAX>(&mut message);
        T::deserialize(message).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Cleans every string in `value`, also the keys of objects.
fn clean<const MAX: usize>(value: &mut Value) {
    match value {
        Value::String(text) => *text = SafeText::<MAX>::new(text).0,
        Value::Array(items) => items.iter_mut().for_each(clean::<MAX>),
        Value::Object(members) => {
            let cleaned = std::mem::take(members).into_iter().map(|(key, mut value)| {
                clean::<MAX>(&mut value);
                (SafeText::<MAX>::new(&key).0, value)
            });
            *members = cleaned.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `text` on one line: everything but printable characters is escaped. Not bounded.
#[must_use]
pub fn escape(text: &str) -> String {
    escape_unless(text, |letter| matches!(letter, '"' | '\'' | '\\'))
}

/// `text` with its line breaks; otherwise as [`escape`].
#[must_use]
pub fn escape_lines(text: &str) -> String {
    escape_unless(text, |letter| matches!(letter, '\n' | '"' | '\'' | '\\'))
}

fn escape_unless(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if stays(letter) {
            safe.push(letter);
        } else {
            safe.extend(letter.escape_debug());
        }
    }
    safe
}

/// `text` with everything but printable ASCII escaped, for places where each character must be one
/// column wide. `…` stays, because shortened texts end with it, and so does `–`.
#[must_use]
pub fn escape_ascii(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' '..='~' | '…' | '–' => safe.push(letter),
            other => safe.extend(other.escape_unicode()),
        }
    }
    safe
}

/// At most `max` characters of `text`, and `…` if it is longer.
#[must_use]
pub fn shorten(mut text: String, max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max) {
        text.truncate(end);
        text.push('…');
    }
    text
}
