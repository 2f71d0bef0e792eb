//! Text that is safe to draw: every character is one column wide, and none controls the terminal.

/// `text` with everything but printable ASCII escaped: control characters, characters that change
/// the direction of writing, and characters whose width differs between terminals. `…` stays,
/// because shortened texts end with it, and `–` stays for a missing rate.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' '..='~' | '…' | '–' => plain.push(letter),
            other => plain.extend(other.escape_unicode()),
        }
    }
    plain
}

/// `text`, escaped and cut to `width` columns.
pub(super) fn clip(text: &str, width: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(width) {
        None => text,
        Some(_) => {
            let kept = text.chars().take(width.saturating_sub(1));
            kept.chain((width > 0).then_some('…')).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_bidi_marks_and_wide_characters_are_escaped() {
        for (text, shown) in [
            ("CN=a b", "CN=a b"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("a\nb\r", "a\\u{a}b\\u{d}"),
            ("\u{202e}", "\\u{202e}"),
            ("世", "\\u{4e16}"),
            ("e\u{301}", "e\\u{301}"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn clipped_text_ends_with_an_ellipsis() {
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("abcd", 3), "ab…");
        assert_eq!(clip("abcd", 1), "…");
        assert_eq!(clip("abcd", 0), "");
        assert_eq!(clip("\u{1b}xyz", 3), "\\u…");
    }
}
