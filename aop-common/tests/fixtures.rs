//! Every row of the packet table, judged on the host.

use std::collections::HashSet;

use aop_common::{
    Bytes, DropReason, Facts, Mode, PassReason, Standing, Verdict,
    corpus::{Cast, Scene, fixtures, fixtures_in},
    judge,
};

#[test]
fn every_fixture_gets_the_verdict_it_owes() {
    let facts = Scene::FIXED.facts();
    let wrong: Vec<String> = fixtures()
        .iter()
        .filter_map(|fixture| {
            let verdict = judge(&Bytes(&fixture.frame), &facts);
            let name = fixture.name;
            let owed = fixture.verdict;
            (verdict != owed).then(|| {
                format!("{name}: {verdict:?}, owes {owed:?}; frame {:02x?}", fixture.frame)
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_two_fixtures_share_a_name() {
    let mut seen = HashSet::new();
    for fixture in fixtures() {
        assert!(seen.insert(fixture.name), "{}", fixture.name);
    }
    assert!(seen.len() > 100, "only {} fixtures", seen.len());
}

#[test]
fn fixtures_owe_every_verdict_that_needs_no_transit_and_no_optional_rule() {
    let owed: HashSet<Verdict> = fixtures().iter().map(|fixture| fixture.verdict).collect();
    for (_, verdict, _) in aop_common::Tally::all() {
        let expected = ![
            Verdict::Pass(PassReason::Transit),
            Verdict::Pass(PassReason::Probation),
            Verdict::Drop(DropReason::SynBudget),
            Verdict::Drop(DropReason::Udp),
        ]
        .contains(&verdict);
        assert_eq!(owed.contains(&verdict), expected, "{verdict:?}");
    }
}

#[test]
fn with_transit_on_only_packets_to_hosts_beyond_change_their_verdict() {
    let facts = Scene::FIXED.forwarding_facts();
    for fixture in fixtures() {
        let owed = if fixture.name.ends_with("transit off") {
            Verdict::Pass(PassReason::Transit)
        } else {
            fixture.verdict
        };
        assert_eq!(judge(&Bytes(&fixture.frame), &facts), owed, "{}", fixture.name);
    }
}

#[test]
fn with_nothing_guarded_only_the_undecidable_is_dropped() {
    let facts = aop_common::corpus::HostFacts::default();
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
    let inner = aop_common::corpus::Cidr { network: [173, 245, 48, 0], bits: 24 };
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
    let there = fixtures_in(&scene);
    assert!(there.iter().map(|it| it.name).eq(fixtures().iter().map(|it| it.name)));
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
    let prefix = aop_common::corpus::Cidr { network: [255, 255, 255, 255], bits: 32 };
    assert_eq!((prefix.last(), prefix.above()), ([255; 4], [0; 4]));
    let prefix = aop_common::corpus::Cidr { network: [0; 4], bits: 8 };
    assert_eq!((prefix.below(), prefix.last()), ([255; 4], [0, 255, 255, 255]));
}
