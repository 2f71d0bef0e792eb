//! One word for one thing: no two public types of the product share a name.

use std::collections::BTreeMap;

use crate::ci::tidy::Source;

/// The kinds of items that name a type.
const KINDS: [&str; 4] = ["struct ", "enum ", "trait ", "type "];

/// Says which public type is defined in more than one place.
pub(crate) fn complaints(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|source| is_product(&source.path)) {
        for name in public_types(&source.text) {
            places.entry(name).or_default().push(&source.path);
        }
    }
    let doubled = places.into_iter().filter(|(_, paths)| paths.len() > 1);
    let complaint = |(name, paths): (&str, Vec<&str>)| {
        format!("the public type {name} is defined more than once: {}", paths.join(", "))
    };
    doubled.map(complaint).collect()
}

/// The crates of the product, without their tests and benches.
fn is_product(path: &str) -> bool {
    let of_product = path.starts_with("aop-common/src/") || path.starts_with("aop-userspace/");
    of_product && path.contains("/src/") && !path.contains("/tests")
}

/// The names of types that are `pub` at the top of a file. Associated types are indented.
fn public_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let item = line.strip_prefix("pub ")?;
        let rest = KINDS.iter().find_map(|kind| item.strip_prefix(kind))?;
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_public_types_of_one_name_are_named_with_their_files() {
        let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let (here, there) = ("aop-userspace/crates/a/src/x.rs", "aop-userspace/crates/b/src/y.rs");
        let found = complaints(&[
            source(here, "pub struct Peer<'a> {}\nstruct Private;\npub enum Other {}"),
            source(there, "pub enum Peer {}\nstruct Private;\n    pub type Other = u8;"),
            source("aop-userspace/crates/b/tests/z.rs", "pub struct Peer;"),
        ]);
        let expected = format!("the public type Peer is defined more than once: {here}, {there}");
        assert_eq!(found, [expected]);
    }
}
