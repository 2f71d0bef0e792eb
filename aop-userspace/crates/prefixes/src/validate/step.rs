//! From one list to the next: what comes, what goes, and whether that is too much at once.

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;

use super::{Family, Refusal, of};
use crate::List;

/// How many of a family's prefixes one refresh may remove: one in this many.
const SHRINK: usize = 4;

/// Whether a refresh may remove more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrink {
    /// It may not.
    Bounded,
    /// The operator has looked at it and accepts it.
    Accepted,
}

/// What a new list brings and takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Prefixes that come.
    pub added: Vec<IpNet>,
    /// Prefixes that go.
    pub removed: Vec<IpNet>,
}

impl Change {
    /// From `old` to `new`, entry by entry.
    #[must_use]
    pub fn between(old: &List, new: &List) -> Self {
        let only = |these: &List, those: &List| -> Vec<IpNet> {
            these.prefixes().iter().filter(|prefix| !those.has(prefix)).copied().collect()
        };
        Self { added: only(new, old), removed: only(old, new) }
    }

    /// Whether nothing comes or goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Judges the step from `old` to `new`.
///
/// # Errors
/// It removes too much, or claims to be the same edition.
pub fn step(old: &List, new: &List, shrink: Shrink) -> Result<Change, Refusal> {
    let change = Change::between(old, new);
    if let (Some(etag), true, false) = (&new.etag, new.etag == old.etag, change.is_empty()) {
        return Err(Refusal::EtagTwice(etag.clone()));
    }
    // What is joined or split is not gone.
    let listed: JointPrefixSet<IpNet> = new.prefixes().iter().copied().collect();
    for family in [Family::V4, Family::V6] {
        let removed = of(&change.removed, family)
            .filter(|gone| !listed.is_covered_in_aggregate(gone))
            .count();
        let all = of(old.prefixes(), family).count();
        if shrink == Shrink::Bounded && removed * SHRINK > all {
            return Err(Refusal::Shrunk { family, removed, of: all });
        }
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(prefixes: &[&str], etag: &str) -> List {
        let prefixes = prefixes.iter().map(|text| text.parse().expect("a CIDR")).collect();
        List::new(prefixes, Some(etag.to_owned()))
    }

    const FOUR: [&str; 4] = ["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/23", "2600::/32"];

    #[test]
    fn what_comes_and_goes_is_told_entry_by_entry() {
        let new = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/23", "2600::/32", "9.0.0.0/24"], "b");
        let change = step(&list(&FOUR, "a"), &new, Shrink::Bounded).expect("believed");
        assert_eq!(change.added, ["9.0.0.0/24".parse().expect("a CIDR")]);
        assert_eq!(change.removed, []);
    }

    #[test]
    fn a_quarter_of_a_family_may_go_and_no_more_unless_the_operator_accepts_it() {
        let old = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "8.3.0.0/24", "2600::/32"], "a");
        let three = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "2600::/32"], "b");
        let two = list(&["8.0.0.0/24", "8.1.0.0/24", "2600::/32"], "b");
        let one_family = list(&["8.0.0.0/24", "8.1.0.0/24", "8.2.0.0/24", "8.3.0.0/24"], "b");
        assert_eq!(step(&old, &three, Shrink::Bounded).expect("believed").removed.len(), 1);
        let refused = |family, removed, of| Err(Refusal::Shrunk { family, removed, of });
        assert_eq!(step(&old, &two, Shrink::Bounded), refused(Family::V4, 2, 4));
        assert_eq!(step(&old, &one_family, Shrink::Bounded), refused(Family::V6, 1, 1));
        assert_eq!(step(&old, &two, Shrink::Accepted).expect("accepted").removed.len(), 2);
    }

    #[test]
    fn prefixes_that_are_joined_or_split_do_not_count_as_gone() {
        let joined =
            list(&["8.0.0.0/23", "8.1.0.0/16", "8.2.0.0/24", "8.2.1.0/24", "2600::/31"], "b");
        let change = step(&list(&FOUR, "a"), &joined, Shrink::Bounded).expect("believed");
        assert_eq!(change.removed.len(), 4);
    }

    #[test]
    fn the_same_edition_cannot_have_other_content() {
        let (old, mut new) = (list(&FOUR, "a"), list(&["8.0.0.0/24"], "a"));
        for shrink in [Shrink::Bounded, Shrink::Accepted] {
            assert_eq!(step(&old, &new, shrink), Err(Refusal::EtagTwice("a".to_owned())));
        }
        new.etag = None;
        assert!(step(&old, &new, Shrink::Accepted).is_ok());
    }

    #[test]
    fn the_first_list_of_all_shrinks_nothing() {
        let change = step(&List::default(), &list(&FOUR, "a"), Shrink::Bounded).expect("believed");
        assert_eq!(change.added.len(), 4);
    }
}
