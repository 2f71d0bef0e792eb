use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Short = SafeText<8>;

#[test]
fn text_cannot_control_a_terminal_or_start_a_line() {
    for (text, safe) in [
        ("CN=a\u{1b}[31m\nok", "CN=a\\u{1b}[31m\\nok"),
        ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
        ("\u{9b}31m\r\u{7f}", "\\u{9b}31m\\r\\u{7f}"),
        ("O=\"O'Neill\", CN=zoë \\ 世", "O=\"O'Neill\", CN=zoë \\ 世"),
    ] {
        assert_eq!(escape(text), safe);
    }
    assert_eq!(escape_lines("a\n\u{1b}b"), "a\n\\u{1b}b");
}

#[test]
fn ascii_text_has_one_column_per_character() {
    for (text, safe) in [
        ("CN=a b – c…", "CN=a b – c…"),
        ("\u{1b}[31m", "\\u{1b}[31m"),
        ("a\nb\r", "a\\u{a}b\\u{d}"),
        ("世", "\\u{4e16}"),
        ("e\u{301}", "e\\u{301}"),
    ] {
        assert_eq!(escape_ascii(text), safe);
    }
}

#[test]
fn text_is_bounded() {
    assert_eq!(&*Short::new("12345678"), "12345678");
    assert_eq!(&*Short::new("123456789"), "12345678…");
    assert_eq!(&*Short::new("\u{1b}\u{1b}\u{1b}"), "\\u{1b}\\u…");
    assert_eq!(shorten("äöü".to_owned(), 2), "äö…");
    assert_eq!(shorten("x".to_owned(), 0), "…");
}

#[test]
fn a_deserialized_text_is_clean() {
    let text: Short = serde_json::from_str(r#""\u001b[0m\u202e""#).expect("a text");
    assert_eq!(text.to_string(), "\\u{1b}[0…");
    assert_eq!(serde_json::to_string(&text).expect("JSON"), r#""\\u{1b}[0…""#);
    serde_json::from_str::<Short>("7").expect_err("a number is not a text");
}

#[test]
fn every_string_of_a_cleaned_message_is_clean() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Message {
        Report { names: Vec<(String, u64)>, by_name: BTreeMap<String, Option<String>> },
    }
    let text = r#"{"Report":{"names":[["\u001b",18446744073709551615]],
        "by_name":{"\u202e":"\u0007","b":null}}}"#;
    let cleaned: Cleaned<Message, 100> = serde_json::from_str(text).expect("a message");
    let by_name = [("\\u{202e}".to_owned(), Some("\\u{7}".to_owned())), ("b".to_owned(), None)];
    let names = vec![("\\u{1b}".to_owned(), u64::MAX)];
    assert_eq!(cleaned.0, Message::Report { names, by_name: by_name.into() });
    serde_json::from_str::<Cleaned<Message, 100>>(r#"{"Other":1}"#).expect_err("no such message");
}

proptest! {
    #[test]
    fn cleaning_twice_is_cleaning_once(text: String) {
        let once = Short::new(&text);
        prop_assert_eq!(&Short::new(&once), &once);
        prop_assert!(!once.chars().any(char::is_control));
    }
}
