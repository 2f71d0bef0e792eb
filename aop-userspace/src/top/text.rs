//! Text that is safe to draw: every character is one column wide, and none controls the terminal.

use aop_types::escape_ascii;

/// `text`, escaped and cut to `width` columns.
pub(super) fn clip(text: &str, width: usize) -> String {
    let text = escape_ascii(text);
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
    fn clipped_text_ends_with_an_ellipsis() {
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("abcd", 3), "ab…");
        assert_eq!(clip("abcd", 1), "…");
        assert_eq!(clip("abcd", 0), "");
        assert_eq!(clip("\u{1b}xyz", 3), "\\u…");
    }
}
