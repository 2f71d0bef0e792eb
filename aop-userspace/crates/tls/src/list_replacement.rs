//! Whether changed revocation lists may replace those in force without the operator's word.

use std::collections::BTreeMap;

use aop_config::OnExpiry;

use super::{
    expiry::{ExpiryKind, FileExpiry, ListSubject},
    file_warnings::FileWarnings,
    validity::{Validity, rfc3339},
};

/// Why a revocation list must not replace the one in force by itself.
#[derive(Clone, Debug)]
pub struct ListObjection {
    /// Its file.
    pub file: String,
    /// The reason.
    pub why: String,
}

impl FileWarnings {
    /// The first revocation list of these files that must not replace one of `before` by itself, at
    /// `now` in seconds since 1970: it would revoke less, or refuse everybody.
    #[must_use]
    pub fn objection(&self, before: &Self, now: u64) -> Option<ListObjection> {
        let (after, before) = (lists(self), lists(before));
        before.into_iter().find_map(|(list, old)| {
            let why = objection(list, after.get(&list).copied(), old, now)?;
            Some(ListObjection { file: list.0.to_owned(), why })
        })
    }
}

/// The validity of a list, and the treatment of its peers once it has expired.
type ListDates = (Validity, OnExpiry);

fn objection(
    (file, issuer, _): ListKey<'_>,
    new: Option<ListDates>,
    (old, _): ListDates,
    now: u64,
) -> Option<String> {
    let Some((new, on_expiry)) = new else {
        return Some(format!("{file} no longer has the revocation list of {issuer}"));
    };
    let list = || format!("the revocation list of {issuer} in {file}");
    if new.not_before < old.not_before {
        let [new, old] = [new.not_before, old.not_before].map(rfc3339);
        return Some(format!("{} is of {new}, and the one in force of {old}", list()));
    }
    let expires = new.not_after <= now && now < old.not_after && on_expiry == OnExpiry::Refuse;
    expires.then(|| format!("{} has expired on {}", list(), rfc3339(new.not_after)))
}

/// File, issuer, and which certificates of it the list covers.
type ListKey<'a> = (&'a str, &'a str, &'a ListSubject);

fn lists(files: &FileWarnings) -> BTreeMap<ListKey<'_>, ListDates> {
    files.expiries.iter().filter_map(entry).collect()
}

fn entry(it: &FileExpiry) -> Option<(ListKey<'_>, ListDates)> {
    let FileExpiry { file, subject, list, validity, kind, .. } = it;
    let ExpiryKind::Crl(on_expiry) = *kind else { return None };
    Some(((file, subject, list.as_ref()?), (*validity, on_expiry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(lists: &[(&str, u64, u64)], on_expiry: OnExpiry) -> FileWarnings {
        let list = |(issuer, not_before, not_after): &(&str, u64, u64)| {
            let (subject, key) = issuer.split_once('#').unwrap_or((issuer, ""));
            let (subject, part) = subject.split_once('/').unwrap_or((subject, ""));
            let part = (!part.is_empty()).then(|| part.into());
            FileExpiry {
                site: "example.com".into(),
                subject: subject.into(),
                file: "a.crl".into(),
                validity: Validity { not_before: *not_before, not_after: *not_after },
                kind: ExpiryKind::Crl(on_expiry),
                list: Some(ListSubject { key: key.into(), part }),
            }
        };
        FileWarnings { warnings: vec![], expiries: lists.iter().map(list).collect() }
    }

    #[test]
    fn an_older_an_expired_and_a_missing_list_are_not_taken_up_by_themselves() {
        let with = |old: &[_], new: &[_], on_expiry| {
            let found = files(new, on_expiry).objection(&files(old, on_expiry), 100);
            found.map(|found| found.why)
        };
        let objection = |old: &[_], new: &[_]| with(old, new, OnExpiry::Refuse);
        let [old, renewed] = [("CN=a", 50, 150), ("CN=a", 60, 160)];
        assert_eq!(objection(&[old], &[renewed]), None);
        assert_eq!(objection(&[old], &[old]), None);
        assert_eq!(objection(&[], &[renewed]), None);
        assert_eq!(objection(&[old], &[old, ("CN=b", 1, 2)]), None, "another issuer's");
        for (new, words) in [
            (vec![("CN=a", 49, 160)], "is of"),
            (vec![("CN=a", 60, 100)], "has expired"),
            (vec![("CN=b", 60, 160)], "no longer has"),
            (vec![], "no longer has"),
        ] {
            let said = objection(&[old], &new).unwrap_or_default();
            assert!(
                said.contains(words) && said.contains("CN=a") && said.contains("a.crl"),
                "{said}"
            );
        }
        // Nothing gets worse.
        for end in [90, 100] {
            assert_eq!(objection(&[("CN=a", 50, end)], &[("CN=a", 60, 99)]), None);
        }
        assert_eq!(with(&[old], &[("CN=a", 60, 100)], OnExpiry::Warn), None);
        // Each part of an issuer's certificates has its list.
        let parts = [("CN=a/x", 50, 150), ("CN=a/y", 50, 150)];
        assert_eq!(objection(&parts, &parts), None);
        assert!(objection(&parts, &parts[..1]).is_some());
        assert!(objection(&parts, &[parts[0], ("CN=a/y", 40, 150)]).is_some());
        // A CA that was renewed with another key has two lists, and each its own successor.
        let keys = [("CN=a#old", 50, 150), ("CN=a#new", 70, 170)];
        assert_eq!(objection(&keys, &[keys[1], ("CN=a#old", 60, 160)]), None);
        assert!(objection(&keys, &[keys[0], ("CN=a#new", 60, 160)]).is_some());
        assert!(objection(&[keys[0]], &[keys[1]]).is_some_and(|why| why.contains("no longer has")));
    }
}
