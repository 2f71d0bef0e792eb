//! Whether a fetched list is to be believed. Pure: knows the list, and the one it would replace.
//!
//! Whoever can change the list decides who reaches the origin, and whose visitors meet silence. So
//! a list that parses is still refused when it is too short, too wide, reaches into networks that
//! are never on the Internet, misses prefixes that have been there for a decade, or drops too much
//! at once. Files and inline lists are the operator's own word and are not judged here.

mod refusal;
mod special;
mod step;
#[cfg(test)]
mod tests;

use aop_common::layout::MAX_PREFIXES;
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;
pub use refusal::{Family, Refusal};
pub use step::{Change, Shrink, step};

/// What a source owes.
#[derive(Clone, Copy, Debug)]
pub struct Expectations {
    /// The fewest IPv4 prefixes.
    pub least_v4: usize,
    /// The fewest IPv6 prefixes.
    pub least_v6: usize,
    /// The most prefixes of a family.
    pub most: usize,
    /// The most bytes that an answer may take.
    pub most_bytes: u64,
    /// Prefixes that must be covered.
    pub canaries: &'static [&'static str],
}

impl Expectations {
    /// Of Cloudflare's list: 15 and 7 prefixes in 2026, never fewer than 10 and 5 since 2014. The
    /// canaries are the oldest and the largest, from which most pulls come. The list takes 1 KiB.
    pub const CLOUDFLARE: Self = Self {
        least_v4: 5,
        least_v6: 2,
        most: 1000,
        most_bytes: 256 * 1024,
        canaries: &["104.16.0.0/13", "173.245.48.0/20", "2400:cb00::/32", "2606:4700::/32"],
    };

    /// Of anybody's list: as many prefixes as the maps hold, and room to write them.
    pub const ANY: Self = Self {
        least_v4: 0,
        least_v6: 0,
        most: MAX_PREFIXES,
        most_bytes: 16 * 1024 * 1024,
        canaries: &[],
    };
}

/// The shortest prefix that is believed. Cloudflare's shortest are a /13 and a /29; registries have
/// never given a CDN an IPv4 /9 or an IPv6 /23.
const SHORTEST_V4: u8 = 10;
const SHORTEST_V6: u8 = 24;

/// All prefixes together: an IPv4 /7 (Cloudflare's come to a /11), an IPv6 /20 (theirs: a /28).
const WIDEST_V4: u64 = 1 << (32 - 7);
/// In units of a /48.
const WIDEST_V6: u64 = 1 << (48 - 20);

/// Judges `list` by itself.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn list(list: &[IpNet], expected: &Expectations) -> Result<(), Refusal> {
    for prefix in list {
        let shortest = if prefix.addr().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
        if let Some((network, purpose)) = special::reached_by(prefix) {
            return Err(Refusal::NotPublic { prefix: *prefix, network, purpose });
        }
        if prefix.prefix_len() < shortest {
            return Err(Refusal::TooBroad { prefix: *prefix, shortest });
        }
    }
    for (family, least, widest, unit) in [
        (Family::V4, expected.least_v4, WIDEST_V4, 32),
        (Family::V6, expected.least_v6, WIDEST_V6, 48),
    ] {
        let count = of(list, family).count();
        if count < least {
            return Err(Refusal::TooFew { family, count, least });
        }
        if count > expected.most {
            return Err(Refusal::TooMany { family, count, most: expected.most });
        }
        let width = |prefix: &IpNet| 1 << u64::from(unit - prefix.prefix_len().min(unit));
        if of(list, family).map(width).sum::<u64>() > widest {
            return Err(Refusal::TooWide { family });
        }
    }
    let listed: JointPrefixSet<IpNet> = list.iter().copied().collect();
    let missing = |canary: &&&str| {
        canary.parse().is_ok_and(|canary: IpNet| !listed.is_covered_in_aggregate(&canary))
    };
    expected
        .canaries
        .iter()
        .find(missing)
        .map_or(Ok(()), |canary| Err(Refusal::CanaryMissing(canary)))
}

fn of(list: &[IpNet], family: Family) -> impl Iterator<Item = &IpNet> {
    list.iter().filter(move |prefix| prefix.addr().is_ipv4() == (family == Family::V4))
}
