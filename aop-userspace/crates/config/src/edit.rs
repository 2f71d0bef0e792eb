//! Changes the text of a configuration and leaves every other byte of it as it is.

use crate::{quoted, toml_schema::RawSitesOnly};

/// The text with `ca` as a further entry of `client_ca` of the site whose first host is `site`;
/// `None` if there is no such site, or the text is no configuration.
#[must_use]
pub fn with_client_ca(text: &str, site: &str, ca: &str) -> Option<String> {
    let raw: RawSitesOnly = toml::from_str(text).ok()?;
    let site = raw.site.iter().find(|it| {
        let first = it.hosts.get_ref().first();
        first.is_some_and(|host| host.get_ref().eq_ignore_ascii_case(site))
    })?;
    let at = site.client_ca.get_ref().last()?.span().end;
    let (before, after) = text.split_at_checked(at)?;
    Some(format!("{before}, {}{after}", quoted(ca)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITES: &str = "# head\n[[site]]\nhosts = [\"a.example\"]\ncertificate = \"c\"\nkey = \"k\"\n\
                         client_ca = [\n  \"one.pem\", # the old one\n]\nupstream = \"u\"\n\
                         [[site]]\nhosts = [\"B.example\", \"c.example\"]\ncertificate = \"c\"\n\
                         key = \"k\"\nclient_ca = ['two.pem'] # kept\nupstream = \"u\"\n";

    #[test]
    fn an_entry_is_added_and_nothing_else_changes() {
        let first = with_client_ca(SITES, "a.example", "/x/new.pem").expect("the site");
        assert_eq!(first, SITES.replace("\"one.pem\"", "\"one.pem\", \"/x/new.pem\""));
        let second = with_client_ca(SITES, "b.example", "a\"b").expect("the site");
        let entries = |text: &str, at: usize| -> Vec<String> {
            let raw: RawSitesOnly = toml::from_str(text).expect("TOML");
            let entries = raw.site[at].client_ca.get_ref();
            entries.iter().map(|it| it.get_ref().clone()).collect()
        };
        assert_eq!(entries(&second, 1), ["two.pem", "a\"b"]);
        assert!(second.contains("] # kept") && second.contains("\"one.pem\", # the old one"));
        assert_eq!(with_client_ca(SITES, "c.example", "x"), None, "it names no site");
        assert_eq!(with_client_ca("site = 1", "a.example", "x"), None);
    }
}
