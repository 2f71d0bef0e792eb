//! Bounds on the number of label values, whatever the configuration and the terminator hold.

use std::collections::{BTreeMap, HashSet};

/// Sites or files with series of their own.
pub(super) const MOST: usize = 1000;
/// Reasons of one family with series of their own.
const REASONS: usize = 64;
/// Greatest length of a reason in bytes.
const LONGEST: usize = 40;
/// The label of all others.
pub(super) const OTHER: &str = "other";
/// The site of connections that reached none.
const NO_SITE: &str = "-";

/// The sites with series of their own: the first ones of the configuration.
pub(super) struct SiteLabels<'a>(HashSet<&'a str>);

impl<'a> SiteLabels<'a> {
    pub(super) fn of(sites: &'a [String]) -> Self {
        let known = sites.iter().take(MOST).map(String::as_str);
        Self(known.chain([NO_SITE]).collect())
    }

    /// The label of a site.
    pub(super) fn label<'b>(&self, site: &'b str) -> &'b str {
        if self.0.contains(site) { site } else { OTHER }
    }
}

/// Counts by site and reason. Counts with equal labels are added.
pub(super) fn by_reason<'a>(
    sites: &SiteLabels<'_>,
    counts: impl Iterator<Item = (&'a str, &'a str, u64)>,
) -> BTreeMap<(String, String), u64> {
    let mut reasons = HashSet::new();
    let mut sums = BTreeMap::new();
    for (site, reason, count) in counts {
        let known = is_a_reason(reason) && (reasons.contains(reason) || reasons.len() < REASONS);
        let reason = if known { reason } else { OTHER };
        reasons.insert(reason);
        let sum: &mut u64 =
            sums.entry((sites.label(site).to_owned(), reason.to_owned())).or_default();
        *sum = sum.saturating_add(count);
    }
    sums
}

fn is_a_reason(reason: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=LONGEST).contains(&reason.len()) && reason.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_beyond_the_bound_and_unknown_sites_share_one_label() {
        let names: Vec<String> = (0..MOST + 2).map(|n| format!("{n}.example")).collect();
        let sites = SiteLabels::of(&names);
        let gone = "gone.example".to_owned();
        let met = names.iter().chain([&gone]).map(|site| (site.as_str(), "expired", 1));
        let sums = by_reason(&sites, met.chain([("-", "not_tls", 5)]));
        assert_eq!(sums.len(), MOST + 2);
        assert_eq!(sums[&(OTHER.to_owned(), "expired".to_owned())], 3);
        assert_eq!(sums[&("-".to_owned(), "not_tls".to_owned())], 5);
    }

    #[test]
    fn malformed_and_surplus_reasons_share_one_label() {
        let reasons: Vec<String> = (0..10_000).map(|n| format!("reason_{n}")).collect();
        let bad = ["", "Big", "with space", "quote\"", "line\n"];
        let met = reasons.iter().map(String::as_str).chain(bad);
        let sums = by_reason(&SiteLabels::of(&[]), met.map(|reason| ("-", reason, 1)));
        assert_eq!(sums.len(), REASONS + 1);
        let other = sums[&("-".to_owned(), OTHER.to_owned())];
        assert_eq!(other, (10_000 - REASONS + bad.len()) as u64);
    }
}
