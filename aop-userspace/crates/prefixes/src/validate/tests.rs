use std::net::IpAddr;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::snapshot;

/// Cloudflare's list without `removed` and with `added`.
fn changed(removed: &[&str], added: &[&str]) -> Vec<IpNet> {
    let parse = |text: &&str| text.parse::<IpNet>().expect("a CIDR");
    let removed: Vec<IpNet> = removed.iter().map(parse).collect();
    let snapshot = snapshot().list;
    let all = snapshot.prefixes().iter().copied();
    all.filter(|prefix| !removed.contains(prefix)).chain(added.iter().map(parse)).collect()
}

fn validate(removed: &[&str], added: &[&str]) -> Result<(), ListRefusal> {
    validate_list(&changed(removed, added), &ListLimits::CLOUDFLARE)
}

#[test]
fn cloudflares_list_passes_as_it_is_and_with_small_changes() {
    assert_eq!(validate(&[], &[]), Ok(()));
    assert_eq!(validate(&["131.0.72.0/22"], &["8.8.8.0/24", "2600::/32"]), Ok(()));
}

#[test]
fn too_few_prefixes_of_a_family_are_refused() {
    let of = |keep: fn(&&IpNet) -> bool| -> Vec<IpNet> {
        changed(&[], &[]).iter().filter(keep).copied().collect()
    };
    let v4_alone = of(|prefix| prefix.addr().is_ipv4());
    let refused = validate_list(&v4_alone, &ListLimits::CLOUDFLARE);
    assert_eq!(refused, Err(ListRefusal::TooFew { family: AddressFamily::V6, count: 0, least: 2 }));
    assert_eq!(validate_list(&v4_alone, &ListLimits::ANY), Ok(()));
    let v6_alone = of(|prefix| prefix.addr().is_ipv6());
    let refused = validate_list(&v6_alone, &ListLimits::CLOUDFLARE);
    assert_eq!(refused, Err(ListRefusal::TooFew { family: AddressFamily::V4, count: 0, least: 5 }));
}

#[test]
fn a_prefix_wider_than_any_of_a_cdn_is_refused() {
    for (wide, shortest) in [("8.0.0.0/9", SHORTEST_V4), ("2600::/23", SHORTEST_V6)] {
        let prefix = wide.parse().expect("a CIDR");
        assert_eq!(validate(&[], &[wide]), Err(ListRefusal::TooBroad { prefix, shortest }));
    }
    assert_eq!(validate(&[], &["8.0.0.0/10", "2600::/24"]), Ok(()));
}

#[test]
fn prefixes_that_together_cover_half_of_the_internet_are_refused() {
    let pieces: Vec<String> = (20..40).map(|first| format!("{first}.0.0.0/10")).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    assert_eq!(validate(&[], &pieces), Err(ListRefusal::TooWide { family: AddressFamily::V4 }));
    let pieces: Vec<String> = (0x10..0x30).map(|second| format!("26{second:x}::/24")).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    assert_eq!(validate(&[], &pieces), Err(ListRefusal::TooWide { family: AddressFamily::V6 }));
}

#[test]
fn networks_that_are_never_on_the_internet_are_refused_for_any_source() {
    for bad in [
        "10.0.0.0/16",
        "172.16.0.0/16",
        "192.168.1.0/24",
        "127.0.0.1/32",
        "169.254.169.254/32",
        "100.64.0.0/24",
        "224.0.0.0/16",
        "198.51.100.0/24",
        "fe80::/64",
        "fd00::/48",
        "ff02::/64",
        "2001:db8::/48",
        "::1/128",
        "9000::/32",
    ] {
        let list_with = changed(&[], &[bad]);
        for expected in [ListLimits::CLOUDFLARE, ListLimits::ANY] {
            let refused = validate_list(&list_with, &expected);
            assert!(matches!(refused, Err(ListRefusal::NotPublic { .. })), "{bad}: {refused:?}");
        }
    }
}

#[test]
fn a_missing_canary_is_refused_unless_it_was_joined_or_split() {
    for canary in ListLimits::CLOUDFLARE.canaries {
        assert_eq!(validate(&[canary], &[]), Err(ListRefusal::CanaryMissing(canary)));
    }
    assert_eq!(validate(&["104.16.0.0/13"], &["104.16.0.0/14", "104.20.0.0/14"]), Ok(()));
    assert_eq!(validate(&["104.16.0.0/13", "104.24.0.0/14"], &["104.16.0.0/12"]), Ok(()));
}

#[test]
fn more_prefixes_than_the_limit_of_the_source_are_refused() {
    let many = |count: u32| -> Vec<IpNet> {
        let net = |n: u32| IpNet::new(IpAddr::V4((8 << 24 | n << 8).into()), 24);
        (0..count).map(|n| net(n).expect("a CIDR")).collect()
    };
    let refused = |list: &[IpNet], expected| validate_list(list, expected);
    let list_with = |more| [changed(&[], &[]), many(more)].concat();
    assert_eq!(refused(&list_with(985), &ListLimits::CLOUDFLARE), Ok(()));
    assert_eq!(
        refused(&list_with(986), &ListLimits::CLOUDFLARE),
        Err(ListRefusal::TooMany { family: AddressFamily::V4, count: 1001, most: 1000 })
    );
    assert_eq!(refused(&many(100_000), &ListLimits::ANY), Ok(()));
}

proptest! {
    #[test]
    fn coverage_in_aggregate_agrees_with_ipnets_aggregation(
        nets in vec((0u32..64, 26u8..=32), 0..24),
        wanted in (0u32..64, 26u8..=32),
    ) {
        let net = |(low, length): (u32, u8)| {
            IpNet::new(IpAddr::V4((8 << 24 | low).into()), length).expect("a CIDR").trunc()
        };
        let (nets, wanted) = (nets.into_iter().map(net).collect::<Vec<_>>(), net(wanted));
        let naive = IpNet::aggregate(&nets).iter().any(|joined| joined.contains(&wanted));
        let listed: JointPrefixSet<IpNet> = nets.into_iter().collect();
        prop_assert_eq!(listed.is_covered_in_aggregate(&wanted), naive);
    }
}
