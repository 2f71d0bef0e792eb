//! Keys whose value is one of a few words.

/// Implements `FromStr` for an enum of configuration values.
macro_rules! config_values {
    ($kind:ty, $key:literal, $($word:literal => $value:expr),+) => {
        impl std::str::FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err($crate::value::unknown(text, $key, &[$($word),+])),
                }
            }
        }
    };
}

pub(crate) use config_values;

/// Says that `text` is none of the `words` of `key`.
pub(crate) fn unknown(text: &str, key: &str, words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let choices = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    format!("{text:?}: {key} must be {choices}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_quoted_and_all_choices_are_named() {
        assert_eq!(
            unknown("z", "proxy", &["a", "b", "c"]),
            r#""z": proxy must be "a", "b" or "c""#
        );
        assert_eq!(unknown("z", "proxy", &["a", "b"]), r#""z": proxy must be "a" or "b""#);
        assert_eq!(unknown("z", "proxy", &["a"]), r#""z": proxy must be "a""#);
    }
}
