//! Pages for people: each is one file without any other, with a policy by which a browser runs its
//! own script alone. They share their looks and the loop that asks for the data.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;

use super::response::{Response, with_body, with_policy};

const TYPE: &str = "text/html; charset=utf-8";

/// A page made of the files that all share, and of those with its own name.
macro_rules! page {
    ($name:literal) => {
        BrowserPage::new(concat!(
            include_str!("browser_page/head.html"),
            include_str!("browser_page/look.css"),
            include_str!(concat!("browser_page/", $name, ".css")),
            include_str!("browser_page/middle.html"),
            include_str!(concat!("browser_page/", $name, ".html")),
            "<script>\n",
            include_str!("browser_page/common.js"),
            include_str!(concat!("browser_page/", $name, ".js")),
            include_str!("browser_page/end.html"),
        ))
    };
}

/// The page of one host.
pub(super) static STATUS_PAGE: LazyLock<BrowserPage> = LazyLock::new(|| page!("status"));
/// The page of a fleet.
pub(super) static FLEET_PAGE: LazyLock<BrowserPage> = LazyLock::new(|| page!("fleet"));

/// Of the data: nothing in it is run or loaded, even if a browser shows it as a document.
pub(super) const DATA_POLICY: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A page with its Content-Security-Policy. The one script and the one style are named by their
/// hash, so no other ones run, wherever they come from. Trusted Types refuse to make markup of text
/// (`innerHTML` and its like): text of peers stays text.
#[derive(Debug)]
pub(super) struct BrowserPage {
    html: &'static str,
    policy: String,
}

impl BrowserPage {
    fn new(html: &'static str) -> Self {
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            hash(between(html, "<script>", "</script>")),
            hash(between(html, "<style>", "</style>")),
        );
        Self { html, policy }
    }

    /// The page as an answer.
    pub(super) fn response(&self) -> Response {
        with_policy(with_body(200, TYPE, self.html), &self.policy)
    }
}

/// A source of CSP: the hash of the text.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref()))
}

/// The text of the first element with these tags, as a browser hashes it.
fn between<'a>(html: &'a str, open: &str, close: &str) -> &'a str {
    let after = html.split_once(open).map_or("", |(_, after)| after);
    after.split_once(close).map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> [&'static BrowserPage; 2] {
        [&STATUS_PAGE, &FLEET_PAGE]
    }

    #[test]
    fn each_page_is_one_small_file_that_loads_nothing_else() {
        for BrowserPage { html, .. } in pages() {
            assert!(html.len() < 100 * 1024, "{} bytes", html.len());
            for tag in ["<script", "</script>", "<style", "</style>"] {
                assert_eq!(html.matches(tag).count(), 1, "{tag}");
            }
            assert!(!between(html, "<script>", "</script>").is_empty());
            assert!(!between(html, "<style>", "</style>").is_empty());
            // The only address is the name of a namespace, which no browser fetches. A pattern of
            // the page itself is named by a fragment.
            let others = html.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
            for outside in ["http:", "https:", "//cdn", "@import", "url(", "src=", "<link rel=\"s"]
            {
                assert!(!others.contains(outside), "{outside} is in the page");
            }
        }
    }

    #[test]
    fn no_page_makes_markup_of_text() {
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
            for BrowserPage { html, .. } in pages() {
                assert!(!html.contains(sink), "{sink} is in the page");
            }
        }
    }

    #[test]
    fn each_policy_names_script_and_style_by_their_hash_and_allows_no_other() {
        assert_ne!(STATUS_PAGE.policy, FLEET_PAGE.policy);
        for BrowserPage { policy, .. } in pages() {
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
        }
        // Computed with `openssl dgst -sha256 -binary | base64`.
        assert_eq!(hash("a"), "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='");
    }
}
