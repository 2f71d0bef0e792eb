//! The status document of the firewall alone, as the pinned maps tell it.

use aop_api::{Interface, Modes, Prefixes, Status, Verdict, mode_name, peer_list};
use aop_common::{Mode, layout::Ports};
use aop_firewall::{InterfaceReading, Reading, State};

/// A status of the firewall alone, as the pinned maps tell it; `None` where nothing is pinned.
/// `sites` are the names that the site marks of peers may stand for.
#[must_use]
pub fn from_firewall(reading: Option<&Reading>, sites: &[String]) -> Status {
    let mut status = Status::nothing();
    let Some(reading) = reading else { return status };
    status.mode = mode_name(reading.modes.general).to_owned();
    status.modes = Modes::of(&reading.modes);
    let enforced = |interface: &InterfaceReading| {
        let enforced = enforces(&reading.modes, &interface.name, &reading.ports);
        guarded(interface, enforced)
    };
    status.interfaces = reading.interfaces.iter().map(enforced).collect();
    status.warnings.extend(reading.interfaces.iter().filter_map(InterfaceReading::warning));
    let (v4, v6) = reading.admission.admitted();
    let draining = reading.admission.draining();
    let generation = reading.generation;
    status.prefixes = Prefixes { v4, v6, draining, generation, ..Prefixes::default() };
    status.verdicts = reading
        .verdicts
        .iter()
        .map(|verdict| Verdict {
            interface: verdict.interface.clone(),
            action: verdict.action.to_owned(),
            reason: verdict.reason.to_owned(),
            packets: verdict.count.packets,
            bytes: verdict.count.bytes,
        })
        .collect();
    status.peers_total = reading.peers.len();
    status.peers = peer_list(&reading.peers, sites);
    status
}

/// Whether `interface` enforces for every one of `ports`; where there is none, whether it would.
fn enforces(modes: &aop_types::Modes, interface: &str, ports: &Ports) -> bool {
    let enforces = |port| modes.mode(interface, port) == Mode::Enforce;
    let mut guarded = (1..=u16::MAX).filter(|port| ports.contains(*port)).peekable();
    match guarded.peek() {
        Some(_) => guarded.all(enforces),
        None => enforces(0),
    }
}

fn guarded(interface: &InterfaceReading, enforce: bool) -> Interface {
    let (state, attach) = match &interface.state {
        State::Attached(mode) => ("attached", Some((*mode).to_owned())),
        State::Missing => ("missing", None),
        State::Foreign(_) => ("foreign", None),
        State::Detached => ("detached", None),
    };
    let attached = attach.is_some();
    Interface {
        name: interface.name.clone(),
        attach,
        state: state.to_owned(),
        attached,
        enforcing: attached && enforce,
    }
}
