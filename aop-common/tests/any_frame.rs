//! Claims about any frame: arbitrary bytes, and the damaged shapes of the generator.

use std::cell::RefCell;

use aop_common::{Address, Bytes, Facts, Flow, PassReason, Segment, Standing, Verdict, judge};
use aop_packets::{Generator, HostFacts, Scene, oracle};
use proptest::prelude::*;

const ETHER_TYPES: [u16; 6] = [0x0800, 0x86dd, 0x8100, 0x88a8, 0x0806, 0x0030];

/// Arbitrary bytes, mostly behind an EtherType that the policy reads beyond.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let framed = (prop::sample::select(&ETHER_TYPES), bytes()).prop_map(|(kind, rest)| {
        let kind = kind.to_be_bytes();
        [&[2; 12][..], &kind, &rest].concat()
    });
    prop_oneof![1 => bytes(), 4 => framed]
}

/// A frame of the generator.
fn shape() -> impl Strategy<Value = Vec<u8>> {
    any::<u64>().prop_map(|seed| Generator::new(seed).generate())
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![noise(), shape()]
}

/// The end of the innermost EtherType that the policy reads, the fifth at most.
fn link_header(frame: &[u8]) -> usize {
    let tagged = |at: &usize| {
        let kind = frame.get(*at..at + 2);
        matches!(kind, Some([0x81, 0x00] | [0x88, 0xa8]))
    };
    let tags = (12..).step_by(4).take(4).take_while(tagged).count();
    12 + 4 * tags + 2
}

/// Facts that note every address that the policy asks about.
struct Recorded {
    facts: HostFacts,
    addresses: RefCell<Vec<Address>>,
}

impl Facts for Recorded {
    fn guarded(&self, port: u16) -> bool {
        self.facts.guarded(port)
    }

    fn standing(&self, source: Address) -> Standing {
        self.addresses.borrow_mut().push(source);
        self.facts.standing(source)
    }

    fn authenticated(&self, source: Address) -> bool {
        self.addresses.borrow_mut().push(source);
        self.facts.authenticated(source)
    }

    fn transit(&self, flow: Flow) -> bool {
        self.addresses.borrow_mut().extend([flow.source, flow.destination]);
        self.facts.transit(flow)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_policy_agrees_with_its_oracle(frame in any_frame(), forwarding: bool) {
        let scene = Scene::FIXED;
        let facts = if forwarding { scene.forwarding_facts() } else { scene.facts() };
        let segment = Segment::read(&Bytes(&frame));
        let expected = oracle::expected(segment, &facts);
        prop_assert_eq!(judge(&Bytes(&frame), &facts), expected, "{:?}", segment);
    }

    #[test]
    fn cutting_a_dropped_frame_short_lets_it_pass_only_without_an_ether_type(frame in any_frame()) {
        let facts = Scene::FIXED.facts();
        // A frame that is dropped from every source may be cut to a shape that is not.
        let segment = Segment::read(&Bytes(&frame));
        let fit = !matches!(segment, Segment::Unreadable(_) | Segment::Unfit { .. });
        if fit && matches!(judge(&Bytes(&frame), &facts), Verdict::Drop(_)) {
            for kept in 0..frame.len() {
                let verdict = judge(&Bytes(&frame[..kept]), &facts);
                let passes = kept < link_header(&frame);
                prop_assert_eq!(matches!(verdict, Verdict::Pass(_)), passes, "{} kept", kept);
                prop_assert_ne!(verdict, Verdict::Pass(PassReason::Admitted));
            }
        }
    }

    #[test]
    fn facts_are_asked_only_about_addresses_of_the_frames_own_family(frame in any_frame()) {
        let facts = Scene::FIXED.forwarding_facts();
        let recorded = Recorded { facts, addresses: RefCell::default() };
        // The verdict does not matter here.
        let _verdict = judge(&Bytes(&frame), &recorded);
        let kind = link_header(&frame);
        for address in recorded.addresses.into_inner() {
            match address {
                Address::V4(_) => prop_assert_eq!(&frame[kind - 2..kind], [0x08, 0x00]),
                Address::V6(_) => prop_assert_eq!(&frame[kind - 2..kind], [0x86, 0xdd]),
            }
        }
    }

    #[test]
    fn a_host_that_forwards_drops_nothing_more(frame in any_frame()) {
        let alone = judge(&Bytes(&frame), &Scene::FIXED.facts());
        let forwarding = judge(&Bytes(&frame), &Scene::FIXED.forwarding_facts());
        let transit = Verdict::Pass(PassReason::Transit);
        let kept = alone == forwarding;
        prop_assert!(kept || (matches!(alone, Verdict::Drop(_)) && forwarding == transit));
    }
}
