//! The status document of the firewall alone, which needs no daemon: the pinned maps hold it.

use aop_api::{
    AttachModeName, InterfaceState, InterfaceStatus, ModesReport, PrefixStatus, Status,
    VerdictCount, peer_list,
};
use aop_common::{Mode, layout::Ports};
use aop_firewall::{AttachMode, AttachState, FirewallSnapshot, GuardedInterface};

/// The status of the firewall alone, from the pinned maps; `None` where nothing is pinned. `sites`
/// are the names for which the site marks of peers may stand.
#[must_use]
pub fn status_from_maps(snapshot: Option<&FirewallSnapshot>, sites: &[String]) -> Status {
    let mut status = Status::nothing();
    let Some(snapshot) = snapshot else { return status };
    status.mode = snapshot.modes.general.into();
    status.modes = ModesReport::of(&snapshot.modes);
    let interface = |interface: &GuardedInterface| {
        interface_status(interface, enforces(&snapshot.modes, &interface.name, &snapshot.ports))
    };
    status.interfaces = snapshot.interfaces.iter().map(interface).collect();
    status.warnings.extend(snapshot.interfaces.iter().filter_map(GuardedInterface::warning));
    let (v4, v6) = snapshot.admission.admitted();
    let draining = snapshot.admission.draining();
    let generation = snapshot.generation;
    status.prefixes = PrefixStatus { v4, v6, draining, generation, ..PrefixStatus::default() };
    status.verdicts = snapshot
        .verdicts
        .iter()
        .map(|verdict| VerdictCount {
            interface: verdict.interface.clone(),
            action: verdict.action.into(),
            reason: verdict.reason.to_owned(),
            packets: verdict.count.packets,
            bytes: verdict.count.bytes,
        })
        .collect();
    status.peers_total = snapshot.peers.len();
    status.peers = peer_list(&snapshot.peers, sites);
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

fn interface_status(interface: &GuardedInterface, enforces: bool) -> InterfaceStatus {
    let (state, attach) = match &interface.state {
        AttachState::Attached(AttachMode::Native) => {
            (InterfaceState::Attached, Some(AttachModeName::Native))
        }
        AttachState::Attached(AttachMode::Generic) => {
            (InterfaceState::Attached, Some(AttachModeName::Generic))
        }
        AttachState::Missing => (InterfaceState::Missing, None),
        AttachState::Foreign(_) => (InterfaceState::Foreign, None),
        AttachState::Detached => (InterfaceState::Detached, None),
    };
    let attached = attach.is_some();
    let name = interface.name.clone();
    InterfaceStatus { name, attach, state, attached, enforcing: attached && enforces }
}
