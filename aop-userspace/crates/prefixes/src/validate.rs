//! Validation of a fetched list. Pure: it needs only the list and the one that it would replace.
//!
//! An attacker who can change the list decides which addresses reach the origin, and can cut off
//! visitors. Therefore a well-formed list is refused if it is too short or too wide, reaches into
//! networks that are never on the Internet, misses prefixes that have been on it for a decade, or
//! removes too much at once. Files and inline lists are the operator's own and are not validated.

mod change;
mod refusal;
mod special;
#[cfg(test)]
mod tests;

use aop_common::layout::MAX_PREFIXES;
pub use change::{ListChange, RemovalLimit, validate_change};
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;
pub use refusal::{AddressFamily, ListRefusal};

/// The limits that the list of a source must meet.
#[derive(Clone, Copy, Debug)]
pub struct ListLimits {
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

impl ListLimits {
    /// Cloudflare's list: 15 and 7 prefixes in 2026, never fewer than 10 and 5 since 2014. The
    /// canaries are the oldest and the largest prefixes; most pulls come from them. The list takes
    /// 1 KiB.
    pub const CLOUDFLARE: Self = Self {
        least_v4: 5,
        least_v6: 2,
        most: 1000,
        most_bytes: 256 * 1024,
        canaries: &["104.16.0.0/13", "173.245.48.0/20", "2400:cb00::/32", "2606:4700::/32"],
    };

    /// Any other list: as many prefixes as the maps hold, and the bytes to write them.
    pub const ANY: Self = Self {
        least_v4: 0,
        least_v6: 0,
        most: MAX_PREFIXES,
        most_bytes: 16 * 1024 * 1024,
        canaries: &[],
    };
}

/// The shortest prefix lengths that are accepted. Cloudflare's shortest are a /13 and a /29;
/// registries have never given a CDN an IPv4 /9 or an IPv6 /23.
const SHORTEST_V4: u8 = 10;
const SHORTEST_V6: u8 = 24;

/// The most addresses of all prefixes together: an IPv4 /7 (Cloudflare's list: about a /11), an
/// IPv6 /20 (Cloudflare's list: about a /28).
const WIDEST_V4: u64 = 1 << (32 - 7);
/// Counted in /48 networks.
const WIDEST_V6: u64 = 1 << (48 - 20);

/// Validates `list` by itself.
///
/// # Errors
/// The first violation.
pub fn validate_list(list: &[IpNet], limits: &ListLimits) -> Result<(), ListRefusal> {
    for prefix in list {
        let shortest = if prefix.addr().is_ipv4() { SHORTEST_V4 } else { SHORTEST_V6 };
        if let Some((network, purpose)) = special::overlapping(prefix) {
            return Err(ListRefusal::NotPublic { prefix: *prefix, network, purpose });
        }
        if prefix.prefix_len() < shortest {
            return Err(ListRefusal::TooBroad { prefix: *prefix, shortest });
        }
    }
    for (family, least, widest, unit) in [
        (AddressFamily::V4, limits.least_v4, WIDEST_V4, 32),
        (AddressFamily::V6, limits.least_v6, WIDEST_V6, 48),
    ] {
        let count = of_family(list, family).count();
        if count < least {
            return Err(ListRefusal::TooFew { family, count, least });
        }
        if count > limits.most {
            return Err(ListRefusal::TooMany { family, count, most: limits.most });
        }
        let width = |prefix: &IpNet| 1 << u64::from(unit - prefix.prefix_len().min(unit));
        if of_family(list, family).map(width).sum::<u64>() > widest {
            return Err(ListRefusal::TooWide { family });
        }
    }
    let listed: JointPrefixSet<IpNet> = list.iter().copied().collect();
    let missing = |canary: &&&str| {
        canary.parse().is_ok_and(|canary: IpNet| !listed.is_covered_in_aggregate(&canary))
    };
    limits
        .canaries
        .iter()
        .find(missing)
        .map_or(Ok(()), |canary| Err(ListRefusal::CanaryMissing(canary)))
}

fn of_family(list: &[IpNet], family: AddressFamily) -> impl Iterator<Item = &IpNet> {
    list.iter().filter(move |prefix| prefix.addr().is_ipv4() == (family == AddressFamily::V4))
}
