//! Every shape of the packet table, as a raw frame on the wire of a real listener.
//!
//! Each shape goes out from a source port of its own, so that an answer names its shape. The same
//! frames go to a bare kernel first: what it answers to an admitted source must still be answered
//! behind aop, and nothing else.

mod origin_link;
mod shapes;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use aop_tests::config::Prefixes;
use aop_tests::packet_socket::Kind;
use aop_tests::{Config, Daemon, Upstream, World};
use origin_link::answers;
use shapes::{Shape, scene, shapes};

use crate::stage::in_a_world;

/// What a shape was told, by its number.
type Told = (usize, Kind);

#[test]
fn on_native_attach_strangers_meet_silence_and_admitted_sources_a_bare_kernel() {
    behind("native");
}

#[test]
fn on_generic_attach_strangers_meet_silence_and_admitted_sources_a_bare_kernel() {
    behind("generic");
}

fn behind(attach: &'static str) {
    in_a_world(|world| {
        let shapes = shapes(&scene(world)?)?;
        let bare = answered_in_a_bare_world(&shapes)?;
        let _listener = Upstream::listening(world, "[::]:443")?;
        let daemon = Daemon::start(world, &guarding(world, attach))?;
        let answered = answers(world, &shapes)?;

        let expected: BTreeSet<Told> =
            bare.iter().filter(|told| shapes[told.0].passes).copied().collect();
        let named = |told: &[&Told]| -> Vec<String> {
            told.iter().map(|(index, kind)| format!("{}: {kind:?}", shapes[*index].name)).collect()
        };
        let leaked: Vec<&Told> = answered.difference(&expected).collect();
        ensure!(leaked.is_empty(), "answered but should not be: {:#?}", named(&leaked));
        let lost: Vec<&Told> = expected.difference(&answered).collect();
        ensure!(lost.is_empty(), "a bare kernel answers, aop does not: {:#?}", named(&lost));
        let status = daemon.status()?;
        ensure!(status.json()["interfaces"][0]["attach"] == attach, "{}", status.json());
        Ok(())
    });
}

/// What the same listener answers without aop. Enough of it, so that silence means something.
fn answered_in_a_bare_world(shapes: &[Shape]) -> Result<BTreeSet<Told>> {
    let world = World::new()?;
    let _listener = Upstream::listening(&world, "[::]:443")?;
    let bare = answers(&world, shapes)?;
    let count = |passes| bare.iter().filter(|(index, _)| shapes[*index].passes == passes).count();
    ensure!(count(true) > 60 && count(false) > 60, "a bare kernel answers only {bare:?}");
    for Shape { name, .. } in shapes.iter().filter(|shape| shape.name.contains("in pieces")) {
        let answered = bare.iter().any(|(index, _)| shapes[*index].name == *name);
        ensure!(answered, "pieces that no kernel puts together: {name}");
    }
    Ok(bare)
}

/// The firewall alone, before a listener of somebody else, admitting what the scene admits.
fn guarding(world: &World, attach: &'static str) -> Config {
    let mut config = Config::new(world);
    (config.bind, config.sites, config.ports) = (Vec::new(), Vec::new(), vec![443]);
    config.attach = attach;
    config.prefixes = Prefixes::List(vec!["173.245.48.0/20".into(), "2400:cb00::/32".into()]);
    config
}
