//! Modes of ports and interfaces: the kernel drops or observes as `layout::PackedModes` says on the
//! host.

use aop_common::{
    Bytes, Mode, decide,
    layout::{self, Ports},
};
use aop_firewall::{FirewallPolicy, FrameResult, TestProgram};
use aop_packets::{
    HostFacts, Scene,
    build::{Ip, Ipv4, Tcp},
    fixtures,
};
use aop_types::Modes;

use super::{
    SHORTEST, SLOT,
    differential::{Frames, compare},
    host::{Forwarding, in_a_host_that_forwards},
    owed, policy, trial,
};

/// The interface with the slot of the trial, and one with another slot.
const INTERFACE: &str = "in0";
const OTHER: &str = "other0";
const OWN: [Option<Mode>; 3] = [None, Some(Mode::Enforce), Some(Mode::Observe)];

/// Modes as configured, and as expected in the map.
struct Case {
    configured: Modes,
    written: layout::PackedModes,
}

impl Case {
    fn new(general: Mode, ports: [Option<Mode>; 2], interface: Option<Mode>) -> Self {
        let mut configured = Modes::from(general);
        let mut written = layout::PackedModes::all(general);
        for (port, mode) in guarded().into_iter().zip(ports) {
            if let Some(mode) = mode {
                configured.ports.insert(port, mode);
                written.set_port(port, mode);
            }
        }
        if let Some(mode) = interface {
            configured.interfaces.insert(INTERFACE.to_owned(), mode);
            written.set_slot(SLOT, mode);
        }
        // The mode of another interface must not affect this one.
        let other = if general == Mode::Enforce { Mode::Observe } else { Mode::Enforce };
        configured.interfaces.insert(OTHER.to_owned(), other);
        Self { configured, written }
    }

    /// Every combination of a general mode, the modes of two ports and the mode of the interface.
    fn all() -> impl Iterator<Item = Self> {
        let with = |general, interface| {
            let pairs = OWN.into_iter().flat_map(|one| OWN.map(|other| [one, other]));
            pairs.map(move |ports| Self::new(general, ports, interface))
        };
        let general = [Mode::Enforce, Mode::Observe].into_iter();
        general.flat_map(move |general| OWN.into_iter().flat_map(move |own| with(general, own)))
    }

    fn policy(&self) -> FirewallPolicy {
        let mut ports = Ports::NONE;
        guarded().into_iter().for_each(|port| ports.insert(port));
        FirewallPolicy { modes: self.configured.clone(), ports, ..policy(Mode::Enforce) }
    }

    fn owes(&self, frame: &[u8]) -> FrameResult {
        let facts = HostFacts { guarded: guarded().to_vec(), ..Scene::FIXED.facts() };
        let decision = decide(&Bytes(frame), &facts);
        owed(decision.verdict, self.written.mode(SLOT, decision.port), frame.len())
    }
}

fn guarded() -> [u16; 2] {
    [Scene::FIXED.guarded, Scene::FIXED.unguarded]
}

/// A trial whose slot belongs to [`INTERFACE`].
fn named_trial() -> TestProgram {
    let mut trial = trial(Mode::Enforce);
    for name in [OTHER, "other1", "other2", INTERFACE] {
        let slot = trial.take_slot(name).expect("a slot");
        assert_eq!(slot == SLOT, name == INTERFACE);
    }
    trial
}

#[test]
fn every_fixture_follows_the_mode_of_its_port_and_interface() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = named_trial();
        let mut fixtures = fixtures().expect("the corpus");
        fixtures.retain(|it| it.frame.len() >= SHORTEST);
        for case in Case::all() {
            trial.apply(&case.policy()).expect("applied");
            for fixture in &fixtures {
                let ran = trial.run(&fixture.frame, ifindex).expect("the frame runs");
                assert_eq!(
                    ran,
                    case.owes(&fixture.frame),
                    "{} under {:?}",
                    fixture.name,
                    case.configured
                );
            }
        }
    });
}

#[test]
fn generated_frames_agree_under_every_mode_of_ports_and_interfaces() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = named_trial();
        let cases: Vec<Case> = Case::all().collect();
        let Frames { count, seed } = Frames::asked();
        let count = count / cases.len() as u64;
        for (number, case) in (0..).zip(&cases) {
            trial.apply(&case.policy()).expect("applied");
            let frames = Frames { count, seed: seed + number };
            let found = compare(&mut trial, ifindex, frames, |frame| case.owes(frame));
            assert_eq!(found, Vec::<String>::new(), "under {:?}", case.configured);
        }
    });
}

#[test]
fn if_one_port_enforces_and_another_observes_a_fragment_for_either_is_dropped() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = named_trial();
        let Scene { v4, guarded, unguarded: other, .. } = Scene::FIXED;
        let syn = |port| Ipv4::between(v4.stranger, v4.origin).tcp(&Tcp::syn(port));
        let fragment =
            Ipv4::between(v4.stranger, v4.origin).fragment(1, true).tcp(&Tcp::syn(other));
        let frames = [syn(guarded), syn(other), fragment];
        let mut actions = |ports, interface| {
            let case = Case::new(Mode::Observe, ports, interface);
            trial.apply(&case.policy()).expect("applied");
            let moved = |frame: &Vec<u8>| trial.run(frame, ifindex).expect("runs").moved[0].0;
            let moved: Vec<_> = frames.iter().map(moved).collect();
            let find = |it| aop_common::Tally::all().find(|(tally, ..)| *tally == it);
            let action = |it| find(it).map(|(_, verdict, mode)| verdict.action(mode).name());
            moved.into_iter().filter_map(action).collect::<Vec<_>>()
        };
        let (enforce, observe) = (Some(Mode::Enforce), Some(Mode::Observe));
        assert_eq!(actions([None, None], None), ["would_drop", "would_drop", "would_drop"]);
        assert_eq!(actions([enforce, None], None), ["drop", "would_drop", "drop"]);
        assert_eq!(actions([None, observe], enforce), ["drop", "would_drop", "drop"]);
        assert_eq!(actions([enforce, None], observe), ["drop", "would_drop", "drop"]);
        assert_eq!(actions([observe, observe], enforce), ["would_drop", "would_drop", "drop"]);
    });
}
