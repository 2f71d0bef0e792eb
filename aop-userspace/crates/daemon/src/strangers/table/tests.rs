//! The table stays within its bounds, loses no packet, and keeps the sources that come regularly.

use std::net::{IpAddr, Ipv6Addr};

use aop_common::Action;

use super::*;

const NOW: u64 = 1_800_000_000;
const PORT: Option<u16> = Some(443);

pub(in crate::strangers) fn source(address: IpAddr, packets: u64) -> SeenStranger {
    SeenStranger {
        id: StrangerId { address, port: PORT },
        packets,
        opens: 1,
        first_ago: 2000,
        last_ago: 0,
        last_open_ago: Some(0),
        action: Action::WouldDrop,
        reason: "unknown_source",
    }
}

/// A table after one packet from each of so many sources.
pub(in crate::strangers) fn filled(sources: u32) -> StrangerTable {
    let mut table = StrangerTable::default();
    let mut random = Random(1);
    for _ in 0..sources {
        table.count(&[source(random.v4(), 1)], NOW);
    }
    table
}

/// A linear congruential generator (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 32
    }

    fn v4(&mut self) -> IpAddr {
        IpAddr::from((self.next() as u32).to_be_bytes())
    }

    fn v6(&mut self) -> IpAddr {
        let (high, low) = (self.next(), self.next());
        Ipv6Addr::from((0x2001_0db8 << 96) | (u128::from(high) << 64) | u128::from(low)).into()
    }
}

fn packets(table: &StrangerTable) -> u64 {
    let kept = table.sources.values().chain(table.networks.values());
    kept.map(|record| record.packets).sum::<u64>() + table.unlisted
}

fn record<'a>(table: &'a StrangerTable, address: &str) -> Option<&'a Record> {
    let address: IpAddr = address.parse().expect("an address");
    table.sources.get(&Place::of(StrangerId { address, port: PORT }))
}

#[test]
fn a_flood_of_random_sources_stays_within_bounds_and_no_packet_is_lost_from_the_count() {
    let (mut table, mut random, mut sent) = (StrangerTable::default(), Random(7), 0);
    for round in 0..60 {
        let seen: Vec<SeenStranger> = (0..1000)
            .map(|n| {
                let address = if n % 2 == 0 { random.v4() } else { random.v6() };
                let packets = 1 + random.next() % 9;
                sent += packets;
                source(address, packets)
            })
            .collect();
        table.count(&seen, NOW + 10 * round);
        assert!(table.sources.len() <= MAX_SOURCES && table.networks.len() <= MAX_NETWORKS);
        assert_eq!(packets(&table), sent, "round {round}");
    }
    assert!(table.unlisted > 0);
}

#[test]
fn a_source_that_comes_each_minute_survives_a_flood_with_its_times_and_its_rhythm() {
    let (mut table, mut random) = (StrangerTable::default(), Random(3));
    for minute in 0..10 {
        table.count(&[source([192, 0, 2, 10].into(), 8)], NOW + 60 * minute);
    }
    for round in 0..60 {
        let now = NOW + 600 + 10 * round;
        // Each stranger of the flood sends more than the steady one.
        let mut seen: Vec<_> = (0..4000).map(|_| source(random.v4(), 100)).collect();
        if round % 6 == 0 {
            seen.push(source([192, 0, 2, 10].into(), 8));
        }
        table.count(&seen, now);
    }
    let steady = record(&table, "192.0.2.10").expect("it is kept");
    assert_eq!((steady.packets, steady.connections, steady.addresses), (8 * 20, 20, 1));
    assert_eq!((steady.first, steady.last), (NOW - 2, NOW + 600 + 10 * 54));
    assert_eq!(steady.rhythm.every(), Some(60));
}

#[test]
fn sources_that_came_once_are_folded_into_their_network_and_old_ones_are_no_longer_listed() {
    let mut table = StrangerTable::default();
    let once: Vec<_> = (0..=u8::MAX).map(|last| source([198, 51, 100, last].into(), 1)).collect();
    table.count(&once, NOW);
    assert_eq!((table.sources.len(), table.networks.len()), (256, 0));
    let often: Vec<_> = (0..MAX_SOURCES as u32)
        .map(|n| source((0x0a00_0000 | n).to_be_bytes().into(), 1))
        .collect();
    (1..4).for_each(|visit| table.count(&often, NOW + 20 * visit));
    let network = Place::of(once[0].id).widened();
    let record = table.networks.get(&network).expect("a network");
    assert_eq!((network.network.to_string().as_str(), network.port), ("198.51.100.0/24", PORT));
    assert_eq!((record.addresses, record.packets, record.connections), (256, 256, 256));
    assert_eq!((record.first, record.last), (NOW - 2, NOW));
    let sum = packets(&table);
    table.count(&[], NOW + KEPT_FOR + 1000);
    assert_eq!((table.sources.len(), table.networks.len(), table.unlisted), (0, 0, sum));
    let v6 = Place::of(StrangerId { address: "2001:db8:1:2::3".parse().expect("v6"), port: None });
    assert_eq!(v6.widened().network.to_string(), "2001:db8:1::/48");
}

#[test]
fn of_sources_that_stay_away_the_older_ones_go_first() {
    let mut table = StrangerTable::default();
    let often = |table: &mut StrangerTable, address: [u8; 4], begin: u64| {
        (0..20).for_each(|n| table.count(&[source(address.into(), 1)], begin + 20 * n));
    };
    often(&mut table, [192, 0, 2, 1], NOW);
    let later = NOW + 28 * 86_400;
    often(&mut table, [192, 0, 2, 2], later);
    let mut random = Random(5);
    for round in 0..3 {
        let thrice: Vec<_> = (0..4000).map(|_| source(random.v4(), 1)).collect();
        for visit in 0..3 {
            table.count(&thrice, later + 1000 + 100 * round + 20 * visit);
        }
    }
    assert!(record(&table, "192.0.2.2").is_some());
    assert!(record(&table, "192.0.2.1").is_none());
}

#[test]
fn what_is_counted_and_not_recorded_is_the_difference() {
    let mut table = StrangerTable::default();
    table.compare(1000, 5);
    assert_eq!(table.unrecorded, 0, "the counters are older than the record");
    table.compare(1100, 40);
    assert_eq!(table.unrecorded, 60);
    table.compare(30, 10);
    assert_eq!(table.unrecorded, 80, "the counters began anew");
}

#[test]
fn only_sources_with_a_record_stay_in_the_map() {
    let mut table = StrangerTable::default();
    let (kept, gone) = (source([192, 0, 2, 1].into(), 1), source([192, 0, 2, 2].into(), 0));
    table.count(&[kept, gone], NOW);
    assert_eq!(table.without_record([kept.id, gone.id].into_iter()), [gone.id]);
}
