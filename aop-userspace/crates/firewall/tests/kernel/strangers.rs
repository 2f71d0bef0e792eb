//! The sources that no prefix admits are recorded, and no other ones.

use std::{collections::BTreeMap, net::IpAddr, thread, time::Duration};

use aop_common::{Action, Mode};
use aop_config::UdpPolicy;
use aop_firewall::{FirewallPolicy, MAX_STRANGERS, SeenStranger, StrangerId, StrangerReader};
use aop_packets::{
    Scene,
    build::{Ip, Ipv4, Ipv6, Tcp},
};

use super::{
    host::{Forwarding, in_a_host_that_forwards},
    policy, trial,
};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The strangers that have sent since the last reading.
fn sent(reader: &mut StrangerReader) -> BTreeMap<StrangerId, SeenStranger> {
    let seen = reader.read().expect("read");
    seen.into_iter().filter(|it| it.packets > 0).map(|it| (it.id, it)).collect()
}

fn id(address: impl Into<IpAddr>, port: Option<u16>) -> StrangerId {
    StrangerId { address: address.into(), port }
}

/// Until the next tick of the kernel, whatever its frequency.
fn await_next_turn() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn observing_counts_each_packet_of_a_stranger_by_source_and_port_and_no_admitted_one() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, v6, guarded, unguarded } = Scene::FIXED;
        let mut trial = trial(Mode::Observe);
        let drops_udp = FirewallPolicy { udp: UdpPolicy::Drop, ..policy(Mode::Observe) };
        trial.apply(&drops_udp).expect("applied");
        let mut reader = trial.take_strangers().expect("a map");
        let tcp = |flags| Tcp::syn(guarded).flags(flags);
        let mut run = |frame: Vec<u8>| trial.run(&frame, ifindex).expect("runs");
        for _ in 0..3 {
            run(Ipv4::between(v4.stranger, v4.origin).tcp(&tcp(SYN)));
            run(Ipv4::between(v4.stranger, v4.origin).tcp(&tcp(ACK)));
            run(Ipv6::between(v6.stranger, v6.origin).tcp(&tcp(ACK)));
        }
        // None of these is a stranger at a guarded port.
        for source in [v4.admitted, v4.peer] {
            run(Ipv4::between(source, v4.origin).tcp(&tcp(SYN)));
            run(Ipv4::between(source, v4.origin).udp(guarded));
        }
        run(Ipv6::between(v6.admitted, v6.origin).tcp(&tcp(SYN)));
        run(Ipv4::between(v4.stranger, v4.origin).tcp(&Tcp::syn(unguarded)));
        run(Ipv4::between(v4.stranger, v4.origin).udp(guarded));
        let seen = sent(&mut reader);
        let [first, second] = [id(v4.stranger, Some(guarded)), id(v6.stranger, Some(guarded))];
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [first, second]);
        let over_v4 = seen[&first];
        assert_eq!((over_v4.packets, over_v4.opens), (6, 3));
        assert_eq!((over_v4.action, over_v4.reason), (Action::WouldDrop, "unknown_source"));
        assert!(over_v4.last_ago <= over_v4.first_ago && over_v4.first_ago < 60_000);
        assert!(over_v4.last_open_ago.is_some_and(|ago| ago < 60_000));
        let over_v6 = seen[&second];
        assert_eq!((over_v6.packets, over_v6.opens, over_v6.last_open_ago), (3, 0, None));
        // Each reading begins anew, and the sources keep their entries.
        assert!(sent(&mut reader).is_empty());
        assert_eq!(reader.read().expect("read").len(), 2);
        await_next_turn();
        run(Ipv4::between(v4.stranger, v4.origin).fragment(1, true).tcp(&tcp(SYN)));
        let fragment = sent(&mut reader)[&id(v4.stranger, None)];
        assert_eq!((fragment.packets, fragment.reason), (1, "fragment"));
        reader.remove([first, id([192, 0, 2, 200], None)]).expect("removed");
        assert_eq!(reader.read().expect("read").len(), 2);
    });
}

#[test]
fn enforcing_records_a_stranger_and_in_a_flood_about_one_packet_in_a_tick() {
    const SENT: u32 = 500_000;
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, guarded, .. } = Scene::FIXED;
        let mut trial = trial(Mode::Enforce);
        let mut reader = trial.take_strangers().expect("a map");
        let frame = Ipv4::between(v4.stranger, v4.origin).tcp(&Tcp::syn(guarded));
        assert_eq!(trial.run(&frame, ifindex).expect("runs").action, Action::Drop);
        let one = sent(&mut reader)[&id(v4.stranger, Some(guarded))];
        assert_eq!((one.packets, one.action), (1, Action::Drop));
        trial.repeat(&frame, ifindex, SENT).expect("runs");
        let more = sent(&mut reader)[&id(v4.stranger, Some(guarded))].packets;
        assert!((1..u64::from(SENT) / 10).contains(&more), "{more} of {SENT}");
    });
}

#[test]
fn a_source_that_sends_seldom_is_recorded_while_another_one_floods() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, guarded, .. } = Scene::FIXED;
        let mut trial = trial(Mode::Enforce);
        let mut reader = trial.take_strangers().expect("a map");
        let syn = |source| Ipv4::between(source, v4.origin).tcp(&Tcp::syn(guarded));
        let (flood, monitor) = (syn([203, 0, 113, 9]), syn([192, 0, 2, 200]));
        for _ in 0..64 {
            trial.repeat(&flood, ifindex, 2_000).expect("runs");
            trial.repeat(&monitor, ifindex, 1).expect("runs");
        }
        let seen = sent(&mut reader);
        let monitored = seen[&id([192, 0, 2, 200], Some(guarded))].packets;
        assert!((1..=64).contains(&monitored), "{monitored} of 64");
    });
}

#[test]
fn the_sampled_drops_of_a_flood_are_reported_or_counted_as_lost() {
    const SENT: u64 = 400_000;
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, guarded, .. } = Scene::FIXED;
        let mut trial = trial(Mode::Enforce);
        let frame = Ipv4::between(v4.stranger, v4.origin).tcp(&Tcp::syn(guarded));
        for every in [1, 4, 16, 64] {
            let before = trial.sampled_drops().expect("read").1;
            trial.sample_drops(every).expect("written");
            trial.repeat(&frame, ifindex, SENT as u32).expect("runs");
            trial.sample_drops(0).expect("written");
            let (reported, lost) = trial.sampled_drops().expect("read");
            let (all, due) = (reported + lost - before, SENT / u64::from(every));
            assert!(reported > 0, "one in {every}: {lost} lost");
            assert!(all.abs_diff(due) <= due / 20, "one in {every}: {reported} and {lost} lost");
        }
    });
}

#[test]
fn a_flood_of_sources_takes_bounded_room_and_a_known_source_is_counted_all_the_same() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, guarded, .. } = Scene::FIXED;
        let mut trial = trial(Mode::Observe);
        let mut reader = trial.take_strangers().expect("a map");
        let syn = |source| Ipv4::between(source, v4.origin).tcp(&Tcp::syn(guarded));
        let monitor = syn([192, 0, 2, 200]);
        trial.run(&monitor, ifindex).expect("runs");
        for round in 0..60u8 {
            for n in 0..=u8::MAX {
                trial.repeat(&syn([100, round, n, 7]), ifindex, 1).expect("runs");
            }
            trial.repeat(&monitor, ifindex, 1).expect("runs");
        }
        let seen = sent(&mut reader);
        assert!(seen.len() > 1 && seen.len() <= MAX_STRANGERS, "{}", seen.len());
        assert_eq!(seen[&id([192, 0, 2, 200], Some(guarded))].packets, 61);
    });
}
