//! Compares the packet program in the kernel with the policy on the host: both judge the same
//! frames, and verdict, reason and moved counters must agree. Needs root.
#![allow(missing_docs, clippy::print_stdout, reason = "a test that prints figures")]

mod budgets;
mod confined;
mod corpus;
mod differential;
mod host;
mod lists;
mod modes;
mod strangers;

use std::{collections::BTreeMap, net::IpAddr, process::Command};

use aop_common::{
    Action, Bytes, DropReason, Mode, PassReason, Standing, Tally, Verdict, judge,
    layout::{Counter, Ports, Prefix},
};
use aop_config::UdpPolicy;
use aop_firewall::{FirewallPolicy, FrameResult, PacketLog, TestProgram};
use aop_packets::{
    HostFacts, Scene,
    build::{Extension, Ip, Ipv4, Ipv6, Tcp},
};
use aop_types::{Admission, monotonic_seconds};
use differential::disagreements;
use host::{Forwarding, in_a_host_that_forwards};
use ipnet::IpNet;

/// The kernel does not run shorter frames (ETH_HLEN).
const SHORTEST: usize = 14;
const SLOT: u32 = 3;

#[test]
fn generated_frames_agree_when_enforcing() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let facts = Scene::FIXED.facts();
        let found = disagreements(Mode::Enforce, ifindex, |frame| judge(&Bytes(frame), &facts));
        assert_eq!(found, Vec::<String>::new());
    });
}

#[test]
fn generated_frames_agree_when_observing_and_none_is_dropped() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let facts = Scene::FIXED.facts();
        let found = disagreements(Mode::Observe, ifindex, |frame| judge(&Bytes(frame), &facts));
        assert_eq!(found, Vec::<String>::new());
    });
}

#[test]
fn generated_frames_agree_on_a_host_that_forwards_to_others() {
    in_a_host_that_forwards(Forwarding::On, |ifindex| {
        let facts = Scene::FIXED.forwarding_facts();
        let found = disagreements(Mode::Enforce, ifindex, |frame| judge(&Bytes(frame), &facts));
        assert_eq!(found, Vec::<String>::new());
    });
}

#[test]
fn the_comparison_detects_a_policy_that_passes_fragments() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let facts = Scene::FIXED.facts();
        let found = disagreements(Mode::Enforce, ifindex, |frame| {
            let verdict = judge(&Bytes(frame), &facts);
            let fragment = verdict == Verdict::Drop(DropReason::Fragment);
            if fragment { Verdict::Pass(PassReason::NotGuarded) } else { verdict }
        });
        assert!(!found.is_empty(), "a wrong policy was not detected");
    });
}

#[test]
fn the_comparison_detects_a_wrong_reason_for_the_same_action() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let facts = Scene::FIXED.facts();
        let found = disagreements(Mode::Enforce, ifindex, |frame| {
            let verdict = judge(&Bytes(frame), &facts);
            let malformed = verdict == Verdict::Drop(DropReason::Malformed);
            if malformed { Verdict::Drop(DropReason::UnknownSource) } else { verdict }
        });
        assert!(!found.is_empty(), "a wrong reason was not detected");
    });
}

#[test]
fn a_new_policy_replaces_the_old_one_completely_including_removals() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        let frame = syn_from(Scene::FIXED.v4.admitted);
        assert_eq!(trial.run(&frame, ifindex).expect("runs").action, Action::Pass);
        let mut nobody = policy(Mode::Enforce);
        nobody.admission = Admission::default();
        for _ in 0..3 {
            trial.apply(&nobody).expect("applied");
            assert_eq!(trial.run(&frame, ifindex).expect("runs").action, Action::Drop);
            trial.apply(&policy(Mode::Enforce)).expect("applied");
            assert_eq!(trial.run(&frame, ifindex).expect("runs").action, Action::Pass);
        }
    });
}

#[test]
fn a_prefix_that_no_longer_drains_does_not_admit_even_its_peers() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        let frame = syn_from(Scene::FIXED.v4.peer);
        assert_eq!(
            trial.run(&frame, ifindex).expect("runs"),
            owed(Verdict::Pass(PassReason::Proven), Mode::Enforce, frame.len())
        );
        let mut over = policy(Mode::Enforce);
        let past = Prefix { drains_until: u32::try_from(monotonic_seconds()).expect("fits") };
        let entries = over.admission.entries().iter();
        over.admission = Admission::from_entries(
            entries
                .map(|(net, entry)| (*net, if *entry == Prefix::ADMITTED { *entry } else { past }))
                .collect(),
        );
        trial.apply(&over).expect("applied");
        assert_eq!(
            trial.run(&frame, ifindex).expect("runs"),
            owed(Verdict::Drop(DropReason::UnknownSource), Mode::Enforce, frame.len())
        );
    });
}

#[test]
fn headers_beyond_the_first_buffer_are_read() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v6, guarded, unguarded, .. } = Scene::FIXED;
        let facts = Scene::FIXED.facts();
        let mut trial = trial(Mode::Enforce);
        // Eight full extension headers move TCP to 16 KiB; the first buffer of the kernel's test
        // run is one page.
        let frame = |source, port| {
            let packet = Ipv6::between(source, v6.origin);
            (0..8).fold(packet, |ip, _| ip.with(Extension::destination(255))).tcp(&Tcp::syn(port))
        };
        for (frame, verdict) in [
            (frame(v6.stranger, guarded), Verdict::Drop(DropReason::UnknownSource)),
            (frame(v6.stranger, unguarded), Verdict::Pass(PassReason::NotGuarded)),
            (frame(v6.admitted, guarded), Verdict::Pass(PassReason::Admitted)),
        ] {
            assert_eq!(judge(&Bytes(&frame), &facts), verdict);
            let ran = trial.run(&frame, ifindex).expect("the frame runs");
            assert_eq!(ran, owed(verdict, Mode::Enforce, frame.len()), "{} bytes", frame.len());
        }
    });
}

#[test]
fn the_packet_log_loads_and_changes_no_verdict() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut logging =
            TestProgram::new(&policy(Mode::Enforce), SLOT, PacketLog::Debug).expect("it loads");
        let frame = syn_from(Scene::FIXED.v4.stranger);
        assert_eq!(logging.run(&frame, ifindex).expect("runs").action, Action::Drop);
        let mut silent = trial(Mode::Enforce);
        let (with, without) = (logging.verified_instructions(), silent.verified_instructions());
        assert!(with > without, "the log costs the verifier nothing: {with:?}, {without:?}");
    });
}

#[test]
fn udp_to_a_guarded_port_is_dropped_only_if_configured() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, v6, guarded, unguarded, .. } = Scene::FIXED;
        let mut trial = trial(Mode::Enforce);
        let udp_v4 = |source, port| Ipv4::between(source, v4.origin).udp(port);
        let udp_v6 = |source, port| Ipv6::between(source, v6.origin).udp(port);
        let passes =
            |frame: &[u8]| owed(Verdict::Pass(PassReason::NotGuarded), Mode::Enforce, frame.len());
        let frame = udp_v4(v4.stranger, guarded);
        assert_eq!(trial.run(&frame, ifindex).expect("runs"), passes(&frame));
        trial
            .apply(&FirewallPolicy { udp: UdpPolicy::Drop, ..policy(Mode::Enforce) })
            .expect("applied");
        for frame in [
            udp_v4(v4.stranger, guarded),
            udp_v4(v4.admitted, guarded),
            udp_v6(v6.stranger, guarded),
            Ipv4::between(v4.stranger, v4.origin).fragment(0, true).udp(guarded),
        ] {
            let dropped = owed(Verdict::Drop(DropReason::Udp), Mode::Enforce, frame.len());
            assert_eq!(trial.run(&frame, ifindex).expect("runs"), dropped);
        }
        for frame in [
            udp_v4(v4.stranger, unguarded),
            udp_v6(v6.stranger, unguarded),
            Ipv4::between(v4.stranger, v4.origin).fragment(100, true).udp(guarded),
        ] {
            assert_eq!(trial.run(&frame, ifindex).expect("runs"), passes(&frame));
        }
    });
}

#[test]
fn the_verifier_walks_far_fewer_instructions_than_its_limit() {
    let walked = trial(Mode::Enforce).verified_instructions();
    println!("verified instructions: {}", walked.unwrap_or_default());
    assert!(walked.is_some_and(|walked| walked < 100_000), "{walked:?} of a million");
}

#[test]
fn the_kernels_trie_agrees_with_the_set_on_the_host() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let scene = Scene::FIXED;
        let mut trial = trial(Mode::Enforce);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..20u64 {
            // Nested prefixes of random length around one address; every third one drains.
            let centre = next(&mut random).to_be_bytes();
            let entries: Vec<(IpNet, Prefix)> = (0..24u8)
                .map(|index| {
                    let [a, b, c, d, ..] = centre;
                    let flip = (next(&mut random) % 256) as u8;
                    let length = 1 + (next(&mut random) % 32) as u8;
                    let net = IpNet::new(IpAddr::from([a, b, c, d ^ flip]), length);
                    let drains_until = if index % 3 == 0 { 1 } else { u32::MAX };
                    (net.expect("a prefix").trunc(), Prefix { drains_until })
                })
                .collect();
            let mut policy = policy(Mode::Enforce);
            policy.admission = deduplicated(entries);
            trial.apply(&policy).expect("applied");
            for _ in 0..50 {
                let [a, b, c, d, ..] = centre;
                let source = [a, b, c, d ^ (next(&mut random) % 256) as u8];
                let standing = policy.admission.standing(IpAddr::from(source), monotonic_seconds());
                let action = trial.run(&syn_from(source), ifindex).expect("runs").action;
                let admitted = standing == Standing::Admitted;
                assert_eq!(
                    action == Action::Pass,
                    admitted,
                    "round {round}: {source:?}, {scene:?}"
                );
            }
        }
    });
}

#[test]
fn bpftool_loads_the_object_so_all_maps_are_btf_maps() {
    let dir = tempfile::tempdir().expect("a directory");
    let mount = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(dir.path()).status();
    assert!(mount.expect("mount runs").success());
    let loaded = Command::new("bpftool")
        .args(["prog", "load", concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/aop.o")])
        .arg(dir.path().join("aop"))
        .output();
    let unmounted = Command::new("umount").arg(dir.path()).status();
    let loaded = loaded.expect("bpftool runs");
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    assert!(unmounted.expect("umount runs").success());
}

/// The expected result in the kernel for `verdict`: the action, and exactly one moved counter.
fn owed(verdict: Verdict, mode: Mode, length: usize) -> FrameResult {
    let action = match verdict.action(mode) {
        Action::Pass | Action::WouldDrop => Action::Pass,
        Action::Drop => Action::Drop,
    };
    let counter = Counter { packets: 1, bytes: length as u64 };
    FrameResult { action, moved: vec![(Tally::of(verdict, mode), counter)] }
}

fn trial(mode: Mode) -> TestProgram {
    let mut trial =
        TestProgram::new(&policy(mode), SLOT, PacketLog::Off).expect("the program loads");
    let Scene { v4, v6, .. } = Scene::FIXED;
    for peer in [v4.peer.into(), v4.departed.into(), v6.peer.into(), v6.departed.into()] {
        trial.authenticate(peer).expect("written");
    }
    trial
}

/// The scene as a policy for the maps.
fn policy(mode: Mode) -> FirewallPolicy {
    let scene = Scene::FIXED;
    let HostFacts { guarded, v4, v6, .. } = scene.facts();
    let mut ports = Ports::NONE;
    guarded.iter().for_each(|port| ports.insert(*port));
    let draining = Prefix {
        drains_until: u32::try_from(monotonic_seconds() + 3600).expect("fits for 136 years"),
    };
    let entry = |standing| match standing {
        Standing::Admitted => Prefix::ADMITTED,
        Standing::Draining | Standing::Unknown => draining,
    };
    let net = |address: IpAddr, bits| IpNet::new(address, bits).expect("a prefix");
    let v4 = v4.into_iter().map(|(cidr, s)| (net(cidr.network.into(), cidr.bits), entry(s)));
    let v6 = v6.into_iter().map(|(cidr, s)| (net(cidr.network.into(), cidr.bits), entry(s)));
    FirewallPolicy {
        modes: mode.into(),
        ports,
        admission: Admission::from_entries(v4.chain(v6).collect()),
        udp: UdpPolicy::Pass,
        probation: 0,
        budget: 0,
    }
}

/// A SYN to the guarded port.
fn syn_from(source: [u8; 4]) -> Vec<u8> {
    let Scene { v4, guarded, .. } = Scene::FIXED;
    Ipv4::between(source, v4.origin).tcp(&Tcp::syn(guarded))
}

/// The last of equal prefixes counts, as in the trie.
fn deduplicated(entries: Vec<(IpNet, Prefix)>) -> Admission {
    let unique: BTreeMap<IpNet, Prefix> = entries.into_iter().collect();
    Admission::from_entries(unique.into_iter().collect())
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
