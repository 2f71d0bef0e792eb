//! Starts a firewall, as a whole or not at all.

use std::{os::fd::OwnedFd, path::Path};

use aop_config::{AttachPreference, Interfaces};
use aop_types::Admission;

use super::{
    CheckReason, Firewall, FirewallPolicy, PacketLog,
    attach::{self, Owner},
    error::FirewallError,
    guards::{self, Guards},
    interfaces::{self, LinkInfo},
    locals,
    maps::Maps,
    object,
    pins::{PinnedXdpLink, Pins},
    privilege,
    routes::DefaultRoutes,
    unload,
    wanted::Wanted,
};

/// Where and how to guard.
#[derive(Clone, Copy, Debug)]
pub struct StartOptions<'a> {
    /// Which interfaces.
    pub interfaces: &'a Interfaces,
    /// In which XDP mode.
    pub attach: AttachPreference,
    /// The pin directory.
    pub pins: &'a Path,
    /// Whether single packets are logged.
    pub log: PacketLog,
    /// What to do if a named interface does not exist.
    pub absent: MissingInterface,
}

/// What to do if a named interface does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingInterface {
    /// Fail.
    Refused,
    /// Skip it: at boot it may appear later.
    Skipped,
}

impl Firewall {
    /// Guards the interfaces of `setting`. `policy` makes the new policy from the admitted set in
    /// the maps (empty at first).
    ///
    /// # Errors
    /// An interface is unknown, not Ethernet, or owned by another program; privileges, a bpffs or
    /// kernel support are missing; the pins have another layout or another owner. Then the old
    /// policy stays in force, and every guarded interface stays guarded.
    pub fn start(
        setting: StartOptions<'_>,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        Self::take_over(setting, None, policy)
    }

    /// The same, with the lock on the pins that another process has [handed](Firewall::lock) over.
    /// That process must not write meanwhile.
    ///
    /// # Errors
    /// As [`Firewall::start`].
    pub fn take_over(
        setting: StartOptions<'_>,
        handed: Option<OwnedFd>,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        privilege::check()?;
        let pins = Pins::open(setting.pins, handed)?;
        let before = pins.links()?;
        let fresh = !pins.has_maps();
        let started = Self::load_and_attach(setting, &pins, &before, fresh, policy);
        if started.is_err() {
            pins.forget_all_but(&before);
            if fresh {
                abandon(&pins);
            }
        }
        started
    }

    fn load_and_attach(
        setting: StartOptions<'_>,
        pins: &Pins,
        before: &[PinnedXdpLink],
        fresh: bool,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let mut routes = DefaultRoutes::default();
        let guarded = before.iter().map(|link| link.interface.clone());
        let mut wanted = Wanted::new(setting.interfaces, guarded);
        routes.follow(&mut wanted, &here, CheckReason::Notice)?;
        let present = present(&wanted, &here, setting.absent)?;
        check_owners(&present, pins)?;
        object::create_maps(pins)?;
        let mut maps = Maps::pinned(pins)?;
        maps.set_locals(locals::choose(|index| wanted.has(&here, index)))?;
        let mut guards = Guards::new(pins, setting.attach, setting.log);
        present.iter().try_for_each(|interface| guards.load(&interface.name, &mut maps))?;
        let next = policy(&maps.admission()?);
        // New maps hold no policy, so it is written first. Existing maps keep the old policy until
        // everything else has succeeded.
        if fresh {
            maps.apply(&next)?;
        }
        present.iter().try_for_each(|interface| guards.attach(interface))?;
        if !fresh {
            maps.apply(&next)?;
        }
        guards.drop_all_but(|name| wanted.contains(name))?;
        Ok(Self { pins: pins.clone(), maps, guards, wanted, routes, fresh, unloaded: false })
    }

    /// Undoes a start after a later step has failed. A firewall that existed before stays.
    pub fn give_up(self) {
        if self.fresh {
            abandon(&self.pins);
        }
    }
}

fn abandon(pins: &Pins) {
    if let Err(error) = unload::unload(pins.root()) {
        tracing::error!("cannot remove the firewall after a failed start: {error}");
    }
}

/// The wanted interfaces that exist.
pub(super) fn present(
    wanted: &Wanted,
    here: &[LinkInfo],
    absent: MissingInterface,
) -> Result<Vec<LinkInfo>, FirewallError> {
    let names = wanted.names();
    if names.is_empty() && absent == MissingInterface::Refused {
        return Err(FirewallError::NoDefaultRoute);
    }
    if names.is_empty() {
        tracing::warn!("{}", FirewallError::NoDefaultRoute);
    }
    let mut present = Vec::new();
    for name in names {
        match here.iter().find(|interface| interface.name == name) {
            Some(interface) => {
                guards::check(interface)?;
                present.push(interface.clone());
            }
            None if absent == MissingInterface::Refused && !wanted.is_auto() => {
                let known = here.iter().map(|interface| interface.name.clone()).collect();
                return Err(FirewallError::UnknownInterface { name, known });
            }
            None => tracing::warn!(interface = name, "the interface does not exist yet: skipped"),
        }
    }
    Ok(present)
}

pub(super) fn check_owners(interfaces: &[LinkInfo], pins: &Pins) -> Result<(), FirewallError> {
    for interface in interfaces {
        if let Owner::Foreign(program) = attach::owner(interface, pins)? {
            return Err(attach::foreign(interface, program));
        }
    }
    Ok(())
}
