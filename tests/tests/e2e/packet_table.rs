//! Every shape of the packet table, sent as raw frames to a real listener.
//!
//! Each shape has its own source port, so a reply identifies its shape. The frames first go to a
//! kernel without aop. With aop, exactly the replies of that kernel to admitted sources must
//! remain.

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

/// The number of a shape, and the reply to it.
type Answered = (usize, TcpReplyKind);

#[test]
fn in_native_mode_strangers_meet_silence_and_admitted_sources_reach_the_kernel() {
    claim("native");
}

#[test]
fn in_generic_mode_strangers_meet_silence_and_admitted_sources_reach_the_kernel() {
    claim("generic");
}

fn claim(attach: &'static str) {
    in_lab(|lab| {
        let shapes = shapes(&scene(lab)?)?;
        let bare = answered_without_aop(&shapes)?;
        let _listener = TestUpstream::listening(lab, "[::]:443")?;
        let daemon = TestDaemon::start(lab, &config(lab, attach))?;
        let answered = answers(lab, &shapes)?;

        let expected: BTreeSet<Answered> =
            bare.iter().filter(|answer| shapes[answer.0].passes).copied().collect();
        let named = |answer: &[&Answered]| -> Vec<String> {
            answer
                .iter()
                .map(|(index, kind)| format!("{}: {kind:?}", shapes[*index].name))
                .collect()
        };
        let leaked: Vec<&Answered> = answered.difference(&expected).collect();
        ensure!(leaked.is_empty(), "answered but should not be: {:#?}", named(&leaked));
        let lost: Vec<&Answered> = expected.difference(&answered).collect();
        ensure!(lost.is_empty(), "answered without aop but not with it: {:#?}", named(&lost));
        let status = daemon.status()?;
        ensure!(status.json()["interfaces"][0]["attach"] == attach, "{}", status.json());
        Ok(())
    });
}

/// The replies of the same listener without aop. They must be many, so that silence means
/// something.
fn answered_without_aop(shapes: &[Shape]) -> Result<BTreeSet<Answered>> {
    let lab = Lab::new()?;
    let _listener = TestUpstream::listening(&lab, "[::]:443")?;
    let bare = answers(&lab, shapes)?;
    let count = |passes| bare.iter().filter(|(index, _)| shapes[*index].passes == passes).count();
    ensure!(count(true) > 60 && count(false) > 60, "without aop only {bare:?} are answered");
    for Shape { name, .. } in shapes.iter().filter(|shape| shape.name.contains("fragmented SYN")) {
        let answered = bare.iter().any(|(index, _)| shapes[*index].name == *name);
        ensure!(answered, "fragments that the kernel does not reassemble: {name}");
    }
    Ok(bare)
}

/// The firewall only, in front of a foreign listener, with the prefixes of the scene.
fn config(lab: &Lab, attach: &'static str) -> AopToml {
    let mut config = AopToml::firewall_only(lab, 443);
    config.attach = attach;
    config.prefixes = PrefixesTable::List(vec!["173.245.48.0/20".into(), "2400:cb00::/32".into()]);
    config
}
