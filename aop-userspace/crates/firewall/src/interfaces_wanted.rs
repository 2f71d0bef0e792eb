//! Which interfaces should be guarded, while the host changes.
//!
//! Named interfaces are awaited for ever. `auto` guards every Ethernet interface over which this
//! host can be reached: those that are up or have an address, and those that carry a default route.
//! Left out are
//! - loopback, dummy and VRF interfaces, on which no packet arrives from outside,
//! - ports of a bridge, bond or VRF without an address: their controller is guarded,
//! - VLAN and macvlan interfaces over a guarded one, which judges their packets,
//! - `veth` interfaces, and bridges whose ports are all `veth` or `tap` interfaces: containers and
//!   virtual machines of this host are behind them. If a `veth` interface carries a default route,
//!   or if there is no card, this is the inside of a container, and its `veth` interfaces are
//!   guarded.
//!
//! An interface that is up and has an address is never let go of. One that is gone, or that became
//! the port of a bridge, is kept for a while.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aop_config::Interfaces;

use super::interfaces::{LinkInfo, LinkKind};

/// How long `auto` keeps an interface that no longer qualifies, while another does.
const GRACE: Duration = Duration::from_secs(10);

/// The interfaces to guard, by name.
pub(super) struct WantedInterfaces {
    config: Interfaces,
    /// Under `auto`, each with the time since when it does not qualify.
    names: BTreeMap<String, Option<Instant>>,
    /// Under `auto`, the interfaces over which the host can be reached, and that cannot be guarded.
    unguardable: Vec<String>,
    /// Under `auto`, the interfaces that carry a default route.
    carriers: Vec<String>,
}

/// The use of the interfaces. Each list has indices of interfaces.
#[derive(Clone, Debug, Default)]
pub(super) struct InterfaceUse {
    /// Those that carry a default route.
    pub(super) default_route: Vec<u32>,
    /// Those with an address of global scope.
    pub(super) addressed: Vec<u32>,
}

/// What `auto` does with an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Guard,
    /// It would be guarded if its frames had an Ethernet header.
    Unguardable,
    LeaveOut,
}

impl WantedInterfaces {
    /// The interfaces of `config`; under `auto` also `before`, which an earlier run guarded.
    pub(super) fn new(config: &Interfaces, before: impl Iterator<Item = String>) -> Self {
        let names = match config {
            Interfaces::Named(names) => names.iter().map(|name| (name.clone(), None)).collect(),
            Interfaces::Auto => before.map(|name| (name, None)).collect(),
        };
        let (unguardable, carriers) = Default::default();
        Self { config: config.clone(), names, unguardable, carriers }
    }

    /// Whether `config` asks for the same.
    pub(super) fn follows(&self, config: &Interfaces) -> bool {
        self.config == *config
    }

    pub(super) fn is_auto(&self) -> bool {
        self.config == Interfaces::Auto
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The interfaces over which the host can be reached, and that cannot be guarded.
    pub(super) fn unguardable(&self) -> &[String] {
        &self.unguardable
    }

    /// Whether a start may go on without the interface: `auto` chose it, and it carries no default
    /// route.
    pub(super) fn may_skip(&self, name: &str) -> bool {
        self.is_auto() && !self.carriers.iter().any(|carrier| carrier == name)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether the interface with that index in `here` is wanted.
    pub(super) fn has(&self, here: &[LinkInfo], index: u32) -> bool {
        here.iter().any(|interface| interface.index == index && self.contains(&interface.name))
    }

    /// Follows the interfaces in `here`.
    pub(super) fn update(&mut self, here: &[LinkInfo], used: &InterfaceUse, now: Instant) {
        if !self.is_auto() {
            return;
        }
        let chosen = |wanted| here.iter().filter(move |link| choose(link, here, used) == wanted);
        self.unguardable = chosen(Choice::Unguardable).map(|link| link.name.clone()).collect();
        let carriers = here.iter().filter(|link| used.default_route.contains(&link.index));
        self.carriers = carriers.map(|link| link.name.clone()).collect();
        for link in chosen(Choice::Guard) {
            self.names.insert(link.name.clone(), None);
        }
        let none_qualifies = chosen(Choice::Guard).next().is_none();
        for (name, idle) in &mut self.names {
            let link = here.iter().find(|link| link.name == *name);
            if none_qualifies || link.is_some_and(|link| stays(link, here, used)) {
                *idle = None;
            } else {
                idle.get_or_insert(now);
            }
        }
        let in_grace = |since: Instant| now.saturating_duration_since(since) < GRACE;
        self.names.retain(|_, idle| idle.is_none_or(in_grace));
    }
}

/// Whether a guarded interface stays guarded.
fn stays(link: &LinkInfo, here: &[LinkInfo], used: &InterfaceUse) -> bool {
    // One that is down has no routes and receives no packets.
    let addressed = used.addressed.contains(&link.index);
    !link.up || addressed || choose(link, here, used) == Choice::Guard
}

fn choose(link: &LinkInfo, here: &[LinkInfo], used: &InterfaceUse) -> Choice {
    let default_route = used.default_route.contains(&link.index);
    let addressed = used.addressed.contains(&link.index);
    if link.kind == LinkKind::Internal {
        return Choice::LeaveOut;
    }
    if !link.ethernet {
        let reachable = link.up && (default_route || addressed);
        return if reachable { Choice::Unguardable } else { Choice::LeaveOut };
    }
    let lower = here.iter().find(|lower| link.parent == Some(lower.index));
    if lower.is_some_and(|lower| choose(lower, here, used) == Choice::Guard) {
        return Choice::LeaveOut;
    }
    if default_route {
        return Choice::Guard;
    }
    let port = link.controller.is_some() && !addressed;
    let containers = match link.kind {
        LinkKind::Veth => !is_container(here, used),
        LinkKind::Bridge => here
            .iter()
            .filter(|port| port.controller == Some(link.index))
            .all(|port| matches!(port.kind, LinkKind::Veth | LinkKind::Tap)),
        LinkKind::Tap | LinkKind::Internal | LinkKind::Tunnel | LinkKind::Other => false,
    };
    match port || containers || !(link.up || addressed) {
        true => Choice::LeaveOut,
        false => Choice::Guard,
    }
}

/// Whether this is the inside of a container.
fn is_container(here: &[LinkInfo], used: &InterfaceUse) -> bool {
    let mut veths = here.iter().filter(|link| link.kind == LinkKind::Veth);
    let is_card = |kind| matches!(kind, LinkKind::Other | LinkKind::Tunnel);
    let has_card = here.iter().any(|link| link.ethernet && is_card(link.kind));
    veths.any(|link| used.default_route.contains(&link.index)) || !has_card
}

#[cfg(test)]
mod tests;
