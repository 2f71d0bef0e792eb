//! Every row of the packet table, judged on the host.

use std::collections::HashSet;

use aop_common::{Bytes, Facts, Mode, PassReason, Standing, Verdict, judge};
use aop_packets::{Cast, Fixture, Rule, Scene, fixtures_in};

fn fixtures() -> Vec<Fixture> {
    aop_packets::fixtures().expect("the data files are sound")
}

#[test]
fn every_fixture_gets_the_verdict_it_owes_under_every_rule_and_under_none() {
    let sets = [&[][..]].into_iter().chain(Rule::ALL.chunks(1)).chain([
        &[Rule::Trusted, Rule::Probation, Rule::Udp][..],
        &[Rule::Forwarding, Rule::Probation, Rule::Spent],
    ]);
    for rules in sets.filter(|rules| !rules.contains(&Rule::Listed)) {
        let facts = Scene::FIXED.facts_under(rules);
        let wrong: Vec<String> = fixtures()
            .iter()
            .filter_map(|fixture| {
                let verdict = judge(&Bytes(&fixture.frame), &facts);
                let owed = fixture.owes(|rule| rules.contains(&rule));
                let Fixture { name, place, frame, .. } = fixture;
                (verdict != owed)
                    .then(|| format!("{place} {name}: {verdict:?}, owes {owed:?}; {frame:02x?}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{} wrong under {rules:?}:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn a_source_that_another_prefix_admits_owes_what_the_table_says_of_it() {
    let mut facts = Scene::FIXED.facts();
    let everybody = |bits| aop_packets::Cidr { network: [0; 16], bits };
    facts.v4.push((aop_packets::Cidr { network: [0; 4], bits: 0 }, Standing::Admitted));
    facts.v6.push((everybody(0), Standing::Admitted));
    let listed = fixtures().into_iter().filter(|it| it.under.iter().any(|it| it.0 == Rule::Listed));
    let mut tried = 0;
    for fixture in listed {
        tried += 1;
        let verdict = judge(&Bytes(&fixture.frame), &facts);
        // A peer's or an admitted source's own prefix is longer than everybody's.
        assert_eq!(verdict, fixture.owes(|rule| rule == Rule::Listed), "{}", fixture.name);
    }
    assert!(tried > 20, "only {tried}");
}

#[test]
fn no_two_fixtures_share_a_name() {
    let mut seen = HashSet::new();
    for fixture in fixtures() {
        assert!(seen.insert(fixture.name.clone()), "{}", fixture.name);
    }
    assert!(seen.len() > 600, "only {} fixtures", seen.len());
}

#[test]
fn fixtures_owe_every_verdict() {
    let fixtures = fixtures();
    let under = fixtures.iter().flat_map(|fixture| fixture.under.iter().map(|(_, owed)| *owed));
    let owed: HashSet<Verdict> =
        fixtures.iter().map(|fixture| fixture.verdict).chain(under).collect();
    for (_, verdict, _) in aop_common::Tally::all() {
        assert!(owed.contains(&verdict), "{verdict:?}");
    }
}

#[test]
fn with_nothing_guarded_only_the_undecidable_is_dropped() {
    let facts = aop_packets::HostFacts::default();
    for fixture in fixtures() {
        if let Verdict::Pass(reason) = judge(&Bytes(&fixture.frame), &facts) {
            assert_eq!(reason, PassReason::NotGuarded, "{}", fixture.name);
        } else {
            let sound = Verdict::Drop(aop_common::DropReason::UnknownSource);
            assert_ne!(fixture.verdict, sound, "{}", fixture.name);
        }
    }
}

#[test]
fn with_no_prefix_nobody_reaches_a_guarded_port() {
    let mut facts = Scene::FIXED.facts();
    facts.v4.clear();
    facts.v6.clear();
    for fixture in fixtures() {
        let verdict = judge(&Bytes(&fixture.frame), &facts);
        let not_guarded = Verdict::Pass(PassReason::NotGuarded);
        if fixture.verdict == not_guarded {
            assert_eq!(verdict, not_guarded, "{}", fixture.name);
        } else {
            assert!(matches!(verdict, Verdict::Drop(_)), "{}: {verdict:?}", fixture.name);
        }
    }
}

#[test]
fn observing_drops_no_fixture() {
    for fixture in fixtures() {
        assert_ne!(fixture.verdict.action(Mode::Observe), aop_common::Action::Drop);
    }
}

#[test]
fn of_several_prefixes_the_longest_counts() {
    let mut facts = Scene::FIXED.facts();
    let inner = aop_packets::Cidr { network: [173, 245, 48, 0], bits: 24 };
    facts.v4.insert(0, (inner, Standing::Draining));
    assert_eq!(facts.standing([173, 245, 48, 7].into()), Standing::Draining);
    assert_eq!(facts.standing([173, 245, 49, 7].into()), Standing::Admitted);
}

#[test]
fn another_scene_changes_addresses_and_ports_but_no_name_and_no_verdict() {
    let Scene { v4, v6, .. } = Scene::FIXED;
    let scene = Scene {
        guarded: 8443,
        unguarded: 443,
        v4: Cast { origin: v4.beyond, stranger: [9, 9, 9, 9], admitted: v4.admitting.last(), ..v4 },
        v6: Cast { origin: v6.beyond, stranger: [0x3f; 16], admitted: v6.admitting.network, ..v6 },
    };
    let facts = scene.facts();
    let there = fixtures_in(&scene).expect("the same data files");
    assert!(there.iter().map(|it| &it.name).eq(fixtures().iter().map(|it| &it.name)));
    for (here, there) in fixtures().iter().zip(there) {
        assert_eq!(here.verdict, there.verdict, "{}", here.name);
        assert_eq!(judge(&Bytes(&there.frame), &facts), there.verdict, "{}", here.name);
    }
}

#[test]
fn a_prefix_has_neighbours_outside_and_ends_inside() {
    let prefix = Scene::FIXED.v4.admitting;
    assert_eq!((prefix.below(), prefix.last()), ([173, 245, 47, 255], [173, 245, 63, 255]));
    assert_eq!(prefix.above(), [173, 245, 64, 0]);
    let prefix = aop_packets::Cidr { network: [255, 255, 255, 255], bits: 32 };
    assert_eq!((prefix.last(), prefix.above()), ([255; 4], [0; 4]));
    let prefix = aop_packets::Cidr { network: [0; 4], bits: 8 };
    assert_eq!((prefix.below(), prefix.last()), ([255; 4], [0, 255, 255, 255]));
}
