//! The status document of the firewall alone, as the pinned maps tell it.

use aop_api::{
    InterfaceStatus, ModesReport, PrefixStatus, Status, VerdictCount, mode_name, peer_list,
};
use aop_common::{Mode, layout::Ports};
use aop_firewall::{AttachState, FirewallSnapshot, GuardedInterface};

/// The status of the firewall alone, from the pinned maps; `None` where nothing is pinned. `sites`
/// are the names for which the site marks of peers may stand.
#[must_use]
pub fn from_firewall(reading: Option<&FirewallSnapshot>, sites: &[String]) -> Status {
    let mut status = Status::nothing();
    let Some(reading) = reading else { return status };
    status.mode = mode_name(reading.modes.general).to_owned();
    status.modes = ModesReport::of(&reading.modes);
    let enforced = |interface: &GuardedInterface| {
        let enforced = enforces(&reading.modes, &interface.name, &reading.ports);
        guarded(interface, enforced)
    };
    status.interfaces = reading.interfaces.iter().map(enforced).collect();
    status.warnings.extend(reading.interfaces.iter().filter_map(GuardedInterface::warning));
    let (v4, v6) = reading.admission.admitted();
    let draining = reading.admission.draining();
    let generation = reading.generation;
    status.prefixes = PrefixStatus { v4, v6, draining, generation, ..PrefixStatus::default() };
    status.verdicts = reading
        .verdicts
        .iter()
        .map(|verdict| VerdictCount {
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

/// Whether `interface` enforces for each of `ports`; without ports, whether it would.
fn enforces(modes: &aop_types::Modes, interface: &str, ports: &Ports) -> bool {
    let enforces = |port| modes.mode(interface, port) == Mode::Enforce;
    let mut guarded = (1..=u16::MAX).filter(|port| ports.contains(*port)).peekable();
    match guarded.peek() {
        Some(_) => guarded.all(enforces),
        None => enforces(0),
    }
}

fn guarded(interface: &GuardedInterface, enforce: bool) -> InterfaceStatus {
    let (state, attach) = match &interface.state {
        AttachState::Attached(mode) => ("attached", Some((*mode).to_owned())),
        AttachState::Missing => ("missing", None),
        AttachState::Foreign(_) => ("foreign", None),
        AttachState::Detached => ("detached", None),
    };
    let attached = attach.is_some();
    InterfaceStatus {
        name: interface.name.clone(),
        attach,
        state: state.to_owned(),
        attached,
        enforcing: attached && enforce,
    }
}
