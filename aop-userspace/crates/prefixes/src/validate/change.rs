//! The step from one list to the next: the added and removed prefixes, and whether that is too much
//! at once.

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use super::{AddressFamily, ListRefusal, of};
use crate::PrefixList;

/// One refresh may remove at most one in this many prefixes of a family.
const SHRINK: usize = 4;

/// Whether a refresh may remove more than one in `SHRINK` prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalLimit {
    /// No.
    Bounded,
    /// Yes: the operator has checked the change.
    Accepted,
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
pub fn step(
    old: &PrefixList,
    new: &PrefixList,
    shrink: RemovalLimit,
) -> Result<ListChange, ListRefusal> {
    let change = ListChange::between(old, new);
    if let (Some(etag), true, false) = (&new.etag, new.etag == old.etag, change.is_empty()) {
        return Err(ListRefusal::EtagTwice(etag.clone()));
    }
    // A prefix that was joined or split is not removed.
    let listed: JointPrefixSet<IpNet> = new.prefixes().iter().copied().collect();
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let removed = of(&change.removed, family)
            .filter(|gone| !listed.is_covered_in_aggregate(gone))
            .count();
        let all = of(old.prefixes(), family).count();
        if shrink == RemovalLimit::Bounded && removed * SHRINK > all {
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
        let change = step(&list(&FOUR, "a"), &new, RemovalLimit::Bounded).expect("believed");
        assert_eq!(change.added, ["9.0.0.0/24".parse().expect("a CIDR")]);
        assert_eq!(change.removed, []);
    }

    #[test]
    fn a_refresh_may_remove_a_quarter_of_a_family_unless_the_operator_accepts_more() {
        let old = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "8.3.0.0/24", "2600::/32"], "a");
        let three = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "2600::/32"], "b");
        let two = list(&["8.0.0.0/24", "8.1.0.0/24", "2600::/32"], "b");
        let one_family = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "8.3.0.0/24"], "b");
        assert_eq!(step(&old, &three, RemovalLimit::Bounded).expect("believed").removed.len(), 1);
        let refused = |family, removed, of| Err(ListRefusal::Shrunk { family, removed, of });
        assert_eq!(step(&old, &two, RemovalLimit::Bounded), refused(AddressFamily::V4, 2, 4));
        assert_eq!(
            step(&old, &one_family, RemovalLimit::Bounded),
            refused(AddressFamily::V6, 1, 1)
        );
        assert_eq!(step(&old, &two, RemovalLimit::Accepted).expect("accepted").removed.len(), 2);
    }

    #[test]
    fn prefixes_that_are_joined_or_split_do_not_count_as_removed() {
        let joined =
            list(&["8.0.0.0/23", "8.1.0.0/16", "8.2.0.0/24", "8.2.1.0/24", "2600::/31"], "b");
        let change = step(&list(&FOUR, "a"), &joined, RemovalLimit::Bounded).expect("believed");
        assert_eq!(change.removed.len(), 4);
    }

    #[test]
    fn an_unchanged_etag_with_other_prefixes_is_refused() {
        let (old, mut new) = (list(&FOUR, "a"), list(&["8.0.0.0/24"], "a"));
        for shrink in [RemovalLimit::Bounded, RemovalLimit::Accepted] {
            assert_eq!(step(&old, &new, shrink), Err(ListRefusal::EtagTwice("a".to_owned())));
        }
        new.etag = None;
        assert!(step(&old, &new, RemovalLimit::Accepted).is_ok());
    }

    #[test]
    fn the_first_list_removes_nothing() {
        let change = step(&PrefixList::default(), &list(&FOUR, "a"), RemovalLimit::Bounded)
            .expect("believed");
        assert_eq!(change.added.len(), 4);
    }
}
