//! The generator reaches every verdict, and gives the same frames for the same seed.

use std::collections::{HashMap, HashSet};

use aop_common::{Bytes, Verdict, judge};
use aop_packets::{Generator, Rule, Scene, fixtures};

const FRAMES: usize = 20_000;

#[test]
fn every_verdict_occurs_within_20_000_frames() {
    let facts = Scene::FIXED.forwarding_facts();
    let fixtures = fixtures().expect("the data files are sound");
    // Where the host forwards and no other rule holds.
    let forwarding = |rule| rule == Rule::Forwarding;
    let possible: HashSet<Verdict> = fixtures.iter().map(|it| it.expected(forwarding)).collect();
    for seed in [0, 1, 0xdead_beef, u64::MAX] {
        let mut seen = HashMap::new();
        for frame in Generator::new(seed).take(FRAMES) {
            *seen.entry(judge(&Bytes(&frame), &facts)).or_insert(0) += 1;
        }
        for verdict in &possible {
            let count = seen.get(verdict).copied().unwrap_or(0);
            assert!(count > FRAMES / 200, "seed {seed}: {verdict:?} only {count} times: {seen:?}");
        }
    }
}

#[test]
fn one_seed_gives_one_sequence_and_another_seed_another() {
    let frames = |seed| Generator::new(seed).take(100).collect::<Vec<_>>();
    assert_eq!(frames(7), frames(7));
    assert_ne!(frames(7), frames(8));
}

#[test]
fn a_generated_frame_has_an_ethernet_header_and_fits_a_page() {
    for frame in Generator::new(3).take(FRAMES) {
        assert!((14..=2048).contains(&frame.len()), "{} bytes", frame.len());
    }
}
