//! Interfaces that a start cannot guard: those that do not exist, and those that have another XDP
//! program. The doctor learns the same of a loaded firewall from the status.

use aop_api::VisitorError;
use aop_config::Interfaces;
use aop_firewall::{AttachState, GuardedInterface, HostInterface};

use super::Start;
use crate::doctor::finding::{CheckFinding, notice, wrong};

/// Interfaces of the configuration that do not exist.
pub(super) fn missing(start: &Start<'_>) -> Vec<CheckFinding> {
    let (Some(_), Interfaces::Named(names)) =
        (&start.config.fixed.firewall, &start.config.live.interfaces)
    else {
        return Vec::new();
    };
    let exists = |name: &&String| start.interfaces.iter().any(|it| it.name == **name);
    let (here, missing): (Vec<&String>, Vec<&String>) = names.iter().partition(exists);
    let others = start.interfaces.iter().filter(|it| !it.loopback).map(|it| it.name.as_str());
    let others = others.collect::<Vec<_>>().join(", ");
    let finding = |name: &String| {
        let said = format!("the interface {name} of firewall.interfaces does not exist");
        let correct = format!("correct the name; this host has {others}");
        let finding = if here.is_empty() {
            let said = format!("{said}, and no other one is named: aop cannot start");
            wrong("interface_missing", said, VisitorError::Refused, correct)
        } else {
            notice("interface_missing", said)
                .cure(format!("{correct}. If it appears later, do nothing: aop guards it then"))
        };
        finding.about(name)
    };
    missing.into_iter().map(finding).collect()
}

/// Interfaces with an XDP program that is not that of `guarded`.
pub(super) fn foreign(start: &Start<'_>, guarded: &[GuardedInterface]) -> Vec<CheckFinding> {
    if start.config.fixed.firewall.is_none() {
        return Vec::new();
    }
    let wanted = |it: &&HostInterface| match &start.config.live.interfaces {
        Interfaces::Named(names) => names.contains(&it.name),
        Interfaces::Auto => it.up && !it.loopback && !it.addresses.is_empty(),
    };
    let ours = |it: &HostInterface| {
        let attached = |state: &AttachState| matches!(state, AttachState::Attached(_));
        guarded.iter().any(|guarded| guarded.name == it.name && attached(&guarded.state))
    };
    let taken = start.interfaces.iter().filter(wanted);
    let taken = taken.filter_map(|it| Some((it, it.program?))).filter(|(it, _)| !ours(it));
    let finding = |(interface, program): (&HostInterface, u32)| {
        let name = &interface.name;
        wrong(
            "foreign_program",
            format!(
                "another XDP program (id {program}) is attached to {name}: aop does not replace \
                 it, and cannot start"
            ),
            VisitorError::Refused,
            format!(
                "find out whose program it is (`bpftool prog show id {program}`), and remove it \
                 (`ip link set {name} xdp off`)"
            ),
        )
        .about(name)
    };
    taken.map(finding).collect()
}
