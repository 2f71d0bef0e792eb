//! A text as a string of TOML, for those that write a configuration.

use std::fmt::Write;

/// `text` as a basic string of TOML, with its quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            // TOML forbids these in a string, also those that other escapes could name.
            _ if letter.is_control() => {
                let number = u32::from(letter);
                write!(quoted, "\\u{number:04X}").ok();
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_read_back_as_it_was() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        for text in ["", "/etc/a b.pem", r#"a"b\c'd"#, "line\nend\ttab\u{7f}\u{85}", &all] {
            let read: toml::Table = toml::from_str(&format!("it = {}", quoted(text))).unwrap();
            assert_eq!(read["it"].as_str(), Some(text));
        }
    }
}
