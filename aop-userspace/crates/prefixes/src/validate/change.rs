//! The step from one list to the next: the added and removed prefixes, and whether that is too much
//! at once.

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use super::{AddressFamily, ListRefusal, of_family};
use crate::PrefixList;

/// One refresh may remove at most one in this many prefixes of a family.
const REMOVABLE: usize = 4;

/// Whether the limit on removed prefixes applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalLimit {
    /// It applies.
    Enforced,
    /// It does not apply: the operator has checked the change.
    Waived,
}

/// The difference between two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListChange {
    /// Prefixes only on the new list.
    pub added: Vec<IpNet>,
    /// Prefixes only on the old list.
    pub removed: Vec<IpNet>,
}

impl ListChange {
    /// The difference from `old` to `new`, entry by entry.
    #[must_use]
    pub fn between(old: &PrefixList, new: &PrefixList) -> Self {
        let only = |these: &PrefixList, those: &PrefixList| -> Vec<IpNet> {
            these.prefixes().iter().filter(|prefix| !those.has(prefix)).copied().collect()
        };
        Self { added: only(new, old), removed: only(old, new) }
    }

    /// Whether both lists are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Validates the step from `old` to `new`.
///
/// # Errors
/// It removes too much, or the etag is the same although the prefixes differ.
pub fn validate_change(
    old: &PrefixList,
    new: &PrefixList,
    limit: RemovalLimit,
) -> Result<ListChange, ListRefusal> {
    let change = ListChange::between(old, new);
    if let (Some(etag), true, false) = (&new.etag, new.etag == old.etag, change.is_empty()) {
        return Err(ListRefusal::EtagTwice(etag.clone()));
    }
    // A prefix that was joined or split is not removed.
    let listed: JointPrefixSet<IpNet> = new.prefixes().iter().copied().collect();
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let removed = of_family(&change.removed, family)
            .filter(|gone| !listed.is_covered_in_aggregate(gone))
            .count();
        let all = of_family(old.prefixes(), family).count();
        if limit == RemovalLimit::Enforced && removed * REMOVABLE > all {
            return Err(ListRefusal::Shrunk { family, removed, of: all });
        }
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(prefixes: &[&str], etag: &str) -> PrefixList {
        let prefixes = prefixes.iter().map(|text| text.parse().expect("a CIDR")).collect();
        PrefixList::new(prefixes, Some(etag.to_owned()))
    }

    const FOUR: [&str; 4] = ["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/23", "2600::/32"];

    #[test]
    fn added_and_removed_prefixes_are_listed_entry_by_entry() {
        let new = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/23", "2600::/32", "9.0.0.0/24"], "b");
        let change =
            validate_change(&list(&FOUR, "a"), &new, RemovalLimit::Enforced).expect("accepted");
        assert_eq!(change.added, ["9.0.0.0/24".parse().expect("a CIDR")]);
        assert_eq!(change.removed, []);
    }

    #[test]
    fn a_refresh_may_remove_a_quarter_of_a_family_unless_the_operator_accepts_more() {
        let old = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "8.3.0.0/24", "2600::/32"], "a");
        let three = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "2600::/32"], "b");
        let two = list(&["8.0.0.0/24", "8.1.0.0/24", "2600::/32"], "b");
        let one_family = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "8.3.0.0/24"], "b");
        assert_eq!(
            validate_change(&old, &three, RemovalLimit::Enforced).expect("accepted").removed.len(),
            1
        );
        let refused = |family, removed, of| Err(ListRefusal::Shrunk { family, removed, of });
        assert_eq!(
            validate_change(&old, &two, RemovalLimit::Enforced),
            refused(AddressFamily::V4, 2, 4)
        );
        assert_eq!(
            validate_change(&old, &one_family, RemovalLimit::Enforced),
            refused(AddressFamily::V6, 1, 1)
        );
        assert_eq!(
            validate_change(&old, &two, RemovalLimit::Waived).expect("accepted").removed.len(),
            2
        );
    }

    #[test]
    fn prefixes_that_are_joined_or_split_do_not_count_as_removed() {
        let joined =
            list(&["8.0.0.0/23", "8.1.0.0/16", "8.2.0.0/24", "8.2.1.0/24", "2600::/31"], "b");
        let change =
            validate_change(&list(&FOUR, "a"), &joined, RemovalLimit::Enforced).expect("accepted");
        assert_eq!(change.removed.len(), 4);
    }

    #[test]
    fn an_unchanged_etag_with_other_prefixes_is_refused() {
        let (old, mut new) = (list(&FOUR, "a"), list(&["8.0.0.0/24"], "a"));
        for limit in [RemovalLimit::Enforced, RemovalLimit::Waived] {
            assert_eq!(
                validate_change(&old, &new, limit),
                Err(ListRefusal::EtagTwice("a".to_owned()))
            );
        }
        new.etag = None;
        assert!(validate_change(&old, &new, RemovalLimit::Waived).is_ok());
    }

    #[test]
    fn the_first_list_removes_nothing() {
        let change =
            validate_change(&PrefixList::default(), &list(&FOUR, "a"), RemovalLimit::Enforced)
                .expect("accepted");
        assert_eq!(change.added.len(), 4);
    }
}
