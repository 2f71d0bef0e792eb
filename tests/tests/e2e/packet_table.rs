//! Every shape of the packet table, as a raw frame on the wire of a real listener.
//!
//! Each shape goes out from a source port of its own, so that an answer names its shape. The same
//! frames go to a bare kernel first: what it answers to an admitted source must still be answered
//! behind aop, and nothing else.

mod origin_link;
mod shapes;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::packet_socket::TcpReplyKind;
use aop_tests::{AopToml, Lab, TestDaemon, TestUpstream};
use origin_link::answers;
use shapes::{Shape, scene, shapes};

use crate::stage::in_lab;

/// What a shape was told, by its number.
type Answered = (usize, TcpReplyKind);

#[test]
fn on_native_attach_strangers_meet_silence_and_admitted_sources_a_bare_kernel() {
    behind("native");
}

#[test]
fn on_generic_attach_strangers_meet_silence_and_admitted_sources_a_bare_kernel() {
    behind("generic");
}

fn behind(attach: &'static str) {
    in_lab(|lab| {
        let shapes = shapes(&scene(lab)?)?;
        let bare = answered_in_a_bare_world(&shapes)?;
        let _listener = TestUpstream::listening(lab, "[::]:443")?;
        let daemon = TestDaemon::start(lab, &guarding(lab, attach))?;
        let answered = answers(lab, &shapes)?;

        let expected: BTreeSet<Answered> =
            bare.iter().filter(|told| shapes[told.0].passes).copied().collect();
        let named = |told: &[&Answered]| -> Vec<String> {
            told.iter().map(|(index, kind)| format!("{}: {kind:?}", shapes[*index].name)).collect()
        };
        let leaked: Vec<&Answered> = answered.difference(&expected).collect();
        ensure!(leaked.is_empty(), "answered but should not be: {:#?}", named(&leaked));
        let lost: Vec<&Answered> = expected.difference(&answered).collect();
        ensure!(lost.is_empty(), "a bare kernel answers, aop does not: {:#?}", named(&lost));
        let status = daemon.status()?;
        ensure!(status.json()["interfaces"][0]["attach"] == attach, "{}", status.json());
        Ok(())
    });
}

/// What the same listener answers without aop. Enough of it, so that silence means something.
fn answered_in_a_bare_world(shapes: &[Shape]) -> Result<BTreeSet<Answered>> {
    let lab = Lab::new()?;
    let _listener = TestUpstream::listening(&lab, "[::]:443")?;
    let bare = answers(&lab, shapes)?;
    let count = |passes| bare.iter().filter(|(index, _)| shapes[*index].passes == passes).count();
    ensure!(count(true) > 60 && count(false) > 60, "a bare kernel answers only {bare:?}");
    for Shape { name, .. } in shapes.iter().filter(|shape| shape.name.contains("in pieces")) {
        let answered = bare.iter().any(|(index, _)| shapes[*index].name == *name);
        ensure!(answered, "pieces that no kernel puts together: {name}");
    }
    Ok(bare)
}

/// The firewall alone, before a listener of somebody else, admitting what the scene admits.
fn guarding(lab: &Lab, attach: &'static str) -> AopToml {
    let mut config = AopToml::firewall_only(lab, 443);
    config.attach = attach;
    config.prefixes = PrefixesTable::List(vec!["173.245.48.0/20".into(), "2400:cb00::/32".into()]);
    config
}
