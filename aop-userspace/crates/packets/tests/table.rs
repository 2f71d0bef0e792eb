//! The table and its scene, as data: names, scenes, prefixes.

use std::collections::HashSet;

use aop_common::{Bytes, Facts, Standing, judge};
use aop_packets::{Cidr, Endpoints, Fixture, Scene, fixtures_in};

fn fixtures() -> Vec<Fixture> {
    aop_packets::fixtures().expect("the data files are sound")
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
fn another_scene_changes_addresses_and_ports_but_no_name_and_no_verdict() {
    let Scene { v4, v6, .. } = Scene::FIXED;
    let scene = Scene {
        guarded: 8443,
        unguarded: 443,
        v4: Endpoints {
            origin: v4.beyond,
            stranger: [9, 9, 9, 9],
            admitted: v4.admitting.last(),
            ..v4
        },
        v6: Endpoints {
            origin: v6.beyond,
            stranger: [0x3f; 16],
            admitted: v6.admitting.network,
            ..v6
        },
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
fn of_several_prefixes_the_longest_counts() {
    let mut facts = Scene::FIXED.facts();
    let inner = Cidr { network: [173, 245, 48, 0], bits: 24 };
    facts.v4.insert(0, (inner, Standing::Draining));
    assert_eq!(facts.standing([173, 245, 48, 7].into()), Standing::Draining);
    assert_eq!(facts.standing([173, 245, 49, 7].into()), Standing::Admitted);
}

#[test]
fn a_prefix_has_neighbours_outside_and_ends_inside() {
    let prefix = Scene::FIXED.v4.admitting;
    assert_eq!((prefix.below(), prefix.last()), ([173, 245, 47, 255], [173, 245, 63, 255]));
    assert_eq!(prefix.above(), [173, 245, 64, 0]);
    let prefix = Cidr { network: [255, 255, 255, 255], bits: 32 };
    assert_eq!((prefix.last(), prefix.above()), ([255; 4], [0; 4]));
    let prefix = Cidr { network: [0; 4], bits: 8 };
    assert_eq!((prefix.below(), prefix.last()), ([255; 4], [0, 255, 255, 255]));
}
