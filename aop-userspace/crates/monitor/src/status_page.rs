//! The status page: one file without any other, and the policy that lets a browser run only what is
//! in it.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;

/// The page. It asks [`DATA_PATH`] for its data.
pub(super) const PAGE: &str = include_str!("status_page.html");
pub(super) const PAGE_TYPE: &str = "text/html; charset=utf-8";
/// The path of the data.
pub(super) const DATA_PATH: &[u8] = b"/page.json";

/// Of the data: nothing in it is run or loaded, even if a browser shows it as a document.
pub(super) const DATA_POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The Content-Security-Policy of the page. The one script and the one style are named by their
/// hash, so no other ones run, wherever they come from. Trusted Types refuse to make markup of text
/// (`innerHTML` and its like): text of peers stays text.
pub(super) static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(between("<script>", "</script>")),
        hash(between("<style>", "</style>")),
    )
});

/// A source of CSP: the hash of the text.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref()))
}

/// The text of the first element with these tags, as a browser hashes it.
fn between(open: &str, close: &str) -> &'static str {
    let after = PAGE.split_once(open).map_or("", |(_, after)| after);
    after.split_once(close).map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_small_file_that_loads_nothing_else() {
        assert!(PAGE.len() < 100 * 1024, "{} bytes", PAGE.len());
        for tag in ["<script", "</script>", "<style", "</style>"] {
            assert_eq!(PAGE.matches(tag).count(), 1, "{tag}");
        }
        assert!(!between("<script>", "</script>").is_empty());
        assert!(!between("<style>", "</style>").is_empty());
        // The only address is the name of a namespace, which no browser fetches. A pattern of the
        // page itself is named by a fragment.
        let others = PAGE.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
        for outside in ["http:", "https:", "//cdn", "@import", "url(", "src=", "<link rel=\"s"] {
            assert!(!others.contains(outside), "{outside} is in the page");
        }
    }

    #[test]
    fn the_page_makes_no_markup_of_text() {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "setHTML",
            "DOMParser",
            "style=\"",
            " onclick",
            " onload",
        ] {
            assert!(!PAGE.contains(sink), "{sink} is in the page");
        }
    }

    #[test]
    fn the_policy_names_script_and_style_by_their_hash_and_allows_no_other() {
        let policy = &*PAGE_POLICY;
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for directive in [
            "style-src 'sha256-",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(directive), "{directive} is not in {policy}");
        }
        // Computed with `openssl dgst -sha256 -binary | base64`.
        assert_eq!(hash("a"), "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='");
    }
}
