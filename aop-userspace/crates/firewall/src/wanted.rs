//! Which interfaces should be guarded, while the host changes.
//!
//! Named interfaces are awaited for ever. `auto` adds an interface as soon as it carries a default
//! route, and drops it slowly: routes vanish for a moment when an interface goes down or a lease is
//! renewed, and an interface that was dropped then would be guarded again too late. While no
//! interface carries a default route, nothing changes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aop_config::Interfaces;

use super::interfaces::LinkInfo;

/// How long `auto` keeps an interface that is up without a default route, while another has one.
const GRACE: Duration = Duration::from_secs(10);

/// The interfaces to guard, by name.
pub(super) struct Wanted {
    config: Interfaces,
    /// Under `auto`, each with the time since when it has no default route.
    names: BTreeMap<String, Option<Instant>>,
}

impl Wanted {
    /// The interfaces of `config`; under `auto` also `before`, which an earlier run guarded.
    pub(super) fn new(config: &Interfaces, before: impl Iterator<Item = String>) -> Self {
        let names = match config {
            Interfaces::Named(names) => names.iter().map(|name| (name.clone(), None)).collect(),
            Interfaces::Auto => before.map(|name| (name, None)).collect(),
        };
        Self { config: config.clone(), names }
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

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether the interface with that index in `here` is wanted.
    pub(super) fn has(&self, here: &[LinkInfo], index: u32) -> bool {
        here.iter().any(|interface| interface.index == index && self.contains(&interface.name))
    }

    /// Follows the interfaces in `here`; those with an index in `carrying` carry a default route.
    pub(super) fn update(&mut self, here: &[LinkInfo], carrying: &[u32], now: Instant) {
        if !self.is_auto() {
            return;
        }
        let carriers = here.iter().filter(|interface| carrying.contains(&interface.index));
        let carriers: Vec<&str> = carriers.map(|interface| interface.name.as_str()).collect();
        for name in &carriers {
            self.names.insert((*name).to_owned(), None);
        }
        for (name, idle) in &mut self.names {
            // An interface that is down has no routes and receives no packets.
            let down = here.iter().any(|interface| interface.name == *name && !interface.up);
            if carriers.is_empty() || carriers.contains(&name.as_str()) || down {
                *idle = None;
            } else {
                idle.get_or_insert(now);
            }
        }
        let in_grace = |since: Instant| now.saturating_duration_since(since) < GRACE;
        self.names.retain(|_, idle| idle.is_none_or(in_grace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32, up: bool) -> LinkInfo {
        LinkInfo { name: name.to_owned(), index, up, ethernet: true, program: None }
    }

    fn auto() -> Wanted {
        Wanted::new(&Interfaces::Auto, std::iter::empty())
    }

    #[test]
    fn auto_adds_an_interface_with_a_default_route() {
        let here = [interface("eth0", 1, true), interface("eth1", 2, true)];
        let mut wanted = auto();
        wanted.update(&here, &[2], Instant::now());
        assert_eq!(wanted.names(), ["eth1"]);
    }

    #[test]
    fn auto_drops_an_interface_after_a_while_and_only_if_another_has_a_default_route() {
        let here = [interface("eth0", 1, true), interface("eth1", 2, true)];
        let (mut wanted, start) = (auto(), Instant::now());
        wanted.update(&here, &[1], start);
        wanted.update(&here, &[], start + 10 * GRACE);
        assert_eq!(wanted.names(), ["eth0"], "no default route: nothing changes");
        wanted.update(&here, &[2], start + 10 * GRACE);
        assert_eq!(wanted.names(), ["eth0", "eth1"]);
        wanted.update(&here, &[1, 2], start + 11 * GRACE);
        wanted.update(&here, &[2], start + 11 * GRACE);
        assert_eq!(wanted.names(), ["eth0", "eth1"], "it had one in between");
        wanted.update(&here, &[2], start + 12 * GRACE);
        assert_eq!(wanted.names(), ["eth1"]);
    }

    #[test]
    fn auto_keeps_an_interface_that_is_down() {
        let (mut wanted, start) = (auto(), Instant::now());
        wanted.update(&[interface("eth0", 1, true)], &[1], start);
        let here = [interface("eth0", 1, false), interface("eth1", 2, true)];
        wanted.update(&here, &[2], start);
        wanted.update(&here, &[2], start + 10 * GRACE);
        assert_eq!(wanted.names(), ["eth0", "eth1"]);
    }

    #[test]
    fn named_interfaces_are_awaited_for_ever() {
        let mut wanted =
            Wanted::new(&Interfaces::Named(vec!["eth7".to_owned()]), std::iter::empty());
        wanted.update(&[], &[], Instant::now());
        assert_eq!(wanted.names(), ["eth7"]);
    }
}
