//! Interfaces that a start cannot guard: those that do not exist, and those that have another XDP
//! program. The doctor learns the same of a loaded firewall from the status.

use aop_api::VisitorError;
use aop_config::Interfaces;
use aop_firewall::{AttachState, GuardedInterface, HostInterface, StartInterface};

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

/// Interfaces that a start would guard, and that have an XDP program which is not that of
/// `guarded`. One that the start needs is wrong, and so are all if no other is left.
pub(super) fn foreign(
    start: &Start<'_>,
    wanted: &[StartInterface],
    guarded: &[GuardedInterface],
) -> Vec<CheckFinding> {
    if start.config.fixed.firewall.is_none() {
        return Vec::new();
    }
    let taken = taken(start.interfaces, wanted, guarded);
    taken.into_iter().map(|(name, program, fate)| finding(name, program, fate)).collect()
}

/// The reaction of a start to the program of another on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// The start fails.
    Fail,
    /// The start goes on without the interface.
    Skip,
}

fn taken<'a>(
    interfaces: &[HostInterface],
    wanted: &'a [StartInterface],
    guarded: &[GuardedInterface],
) -> Vec<(&'a str, u32, Reaction)> {
    let ours = |name: &str| {
        let attached = |state: &AttachState| matches!(state, AttachState::Attached(_));
        guarded.iter().any(|guarded| guarded.name == name && attached(&guarded.state))
    };
    let program = |name: &str| {
        let here = interfaces.iter().find(|it| it.name == name)?;
        here.program.filter(|_| !ours(name))
    };
    let exists = |name: &str| interfaces.iter().any(|it| it.name == name);
    let others = wanted.iter().any(|it| exists(&it.name) && program(&it.name).is_none());
    let each = wanted.iter().filter_map(|it| {
        let reaction = if it.required || !others { Reaction::Fail } else { Reaction::Skip };
        Some((it.name.as_str(), program(&it.name)?, reaction))
    });
    each.collect()
}

fn finding(name: &str, program: u32, reaction: Reaction) -> CheckFinding {
    let said = format!("another XDP program (id {program}) is attached to {name}");
    let cure = format!(
        "find out whose program it is (`bpftool prog show id {program}`), and remove it (`ip link \
         set {name} xdp off`)"
    );
    let finding = match reaction {
        Reaction::Fail => {
            let said = format!("{said}: aop does not replace it, and cannot start");
            wrong("foreign_program", said, VisitorError::Refused, cure)
        }
        Reaction::Skip => {
            let said = format!("{said}: aop starts without it, and does not filter its packets");
            let alone = "nothing if only your own containers and machines are behind it";
            notice("foreign_program", said).cure(format!("{alone}; else {cure}"))
        }
    };
    finding.about(name)
}

#[cfg(test)]
mod tests {
    use aop_firewall::LinkKind;

    use super::*;

    #[test]
    fn a_foreign_program_is_an_obstacle_where_the_start_needs_the_interface() {
        let interface = |name: &str, program| HostInterface {
            name: name.to_owned(),
            index: 1,
            up: true,
            ethernet: true,
            loopback: false,
            kind: LinkKind::Other,
            parent: None,
            controller: None,
            program,
            addresses: Vec::new(),
        };
        let start = |name: &str, required| StartInterface { name: name.to_owned(), required };
        let here =
            [interface("cni0", Some(7)), interface("eth0", None), interface("lxc1", Some(8))];
        // The start of `auto` does not want lxc1, and skips cni0.
        let auto = [start("cni0", false), start("eth0", true)];
        assert_eq!(taken(&here, &auto, &[]), [("cni0", 7, Reaction::Skip)]);
        let named = [start("cni0", true), start("eth0", true)];
        assert_eq!(taken(&here, &named, &[]), [("cni0", 7, Reaction::Fail)]);
        // Without another interface nothing would be guarded.
        for alone in [&auto[..1], &[start("cni0", false), start("gone", true)]] {
            assert_eq!(taken(&here, alone, &[]), [("cni0", 7, Reaction::Fail)]);
        }
        let state = AttachState::Attached(aop_firewall::AttachMode::Native);
        let guarded = GuardedInterface { name: "cni0".into(), state, obstacle: None };
        assert_eq!(taken(&here, &named, &[guarded]), []);
    }
}
