//! Text as it is fit to be drawn: each letter one column wide, and none that does anything.

/// `text` with everything but plain ASCII escaped: control characters and what turns the direction of
/// writing, and letters of which terminals do not agree how wide they are. An ellipsis stays, since
/// texts that were bounded end with one.
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

/// `text`, plain, as far as `width` columns have room for it.
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
    fn nothing_that_a_peer_says_moves_colours_turns_or_widens() {
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
    fn clipped_text_says_that_it_is() {
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("abcd", 3), "ab…");
        assert_eq!(clip("abcd", 1), "…");
        assert_eq!(clip("abcd", 0), "");
        assert_eq!(clip("\u{1b}xyz", 3), "\\u…");
    }
}
