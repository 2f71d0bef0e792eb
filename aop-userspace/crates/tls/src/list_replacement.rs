//! Whether changed revocation lists may replace those in force without the operator's word.

use std::collections::BTreeMap;

use super::{
    expiry::ExpiryKind,
    file_warnings::FileWarnings,
    validity::{Validity, rfc3339},
};

impl FileWarnings {
    /// Why the revocation lists of these files must not replace those of `before` by themselves, at
    /// `now` in seconds since 1970: they would revoke less, or refuse everybody.
    #[must_use]
    pub fn objection(&self, before: &Self, now: u64) -> Option<String> {
        let (after, before) = (lists(self), lists(before));
        before.into_iter().find_map(|((file, issuer), old)| {
            let Some(new) = after.get(&(file, issuer)) else {
                return Some(format!("{file} no longer has the revocation list of {issuer}"));
            };
            let list = || format!("the revocation list of {issuer} in {file}");
            if new.not_before < old.not_before {
                let dates = [new.not_before, old.not_before].map(rfc3339);
                let [new, old] = &dates;
                return Some(format!("{} is of {new}, and the one in force of {old}", list()));
            }
            let expires = new.not_after <= now && now < old.not_after;
            expires.then(|| format!("{} has expired on {}", list(), rfc3339(new.not_after)))
        })
    }
}

/// The validity of the latest list, by file and issuer.
fn lists(files: &FileWarnings) -> BTreeMap<(&str, &str), Validity> {
    let mut lists = BTreeMap::new();
    for it in &files.expiries {
        if let ExpiryKind::Crl(_) = it.kind {
            let latest = lists.entry((&*it.file, &*it.subject)).or_insert(it.validity);
            if it.validity.not_before > latest.not_before {
                *latest = it.validity;
            }
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use aop_config::OnExpiry;

    use super::*;
    use crate::expiry::FileExpiry;

    fn files(lists: &[(&str, u64, u64)]) -> FileWarnings {
        let list = |(issuer, not_before, not_after): &(&str, u64, u64)| FileExpiry {
            site: "example.com".into(),
            subject: (*issuer).into(),
            file: "a.crl".into(),
            validity: Validity { not_before: *not_before, not_after: *not_after },
            kind: ExpiryKind::Crl(OnExpiry::Refuse),
        };
        FileWarnings { warnings: vec![], expiries: lists.iter().map(list).collect() }
    }

    #[test]
    fn an_older_an_expired_and_a_missing_list_are_not_taken_up_by_themselves() {
        let objection = |old: &[_], new: &[_]| files(new).objection(&files(old), 100);
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
        assert_eq!(objection(&[("CN=a", 50, 90)], &[("CN=a", 60, 99)]), None);
        // The latest of several lists counts.
        assert_eq!(objection(&[old, ("CN=a", 40, 110)], &[("CN=a", 40, 110), renewed]), None);
    }
}
