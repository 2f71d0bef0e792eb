//! How a firewall begins: as a whole or not at all.

use std::{os::fd::OwnedFd, path::Path};

use aop_config::{Attach, Interfaces};
use aop_types::Admission;

use super::{
    Cause, Firewall, PacketLog, Policy,
    attach::{self, Owner},
    error::FirewallError,
    guards::{self, Guards},
    interfaces::{self, Interface},
    locals,
    maps::Maps,
    object,
    pins::{Link, Pins},
    privilege,
    routes::DefaultRoutes,
    unload,
    wanted::Wanted,
};

/// Where and how to guard.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Which interfaces.
    pub interfaces: &'a Interfaces,
    /// In which XDP mode.
    pub attach: Attach,
    /// The pin directory.
    pub pins: &'a Path,
    /// Whether single packets are told of.
    pub log: PacketLog,
    /// What becomes of the start when an interface that is named does not exist.
    pub absent: Absent,
}

/// What becomes of a start when an interface that is named does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It fails.
    Refused,
    /// It goes on without: at boot the interface may come later.
    Skipped,
}

impl Firewall {
    /// Guards the interfaces of `setting` under the policy that `policy` makes of the one found in
    /// the maps (an empty one at first).
    ///
    /// # Errors
    /// An interface is unknown, not Ethernet or owned by another program; privileges, a bpffs or
    /// kernel support are missing; pins have another layout or another owner. Then the policy is
    /// the old one, and every interface that was guarded still is.
    pub fn start(
        setting: Setting<'_>,
        policy: impl FnOnce(&Admission) -> Policy,
    ) -> Result<Self, FirewallError> {
        Self::take_over(setting, None, policy)
    }

    /// The same by the lock on the pins that another process has [handed](Firewall::lock) over, which
    /// looks on.
    ///
    /// # Errors
    /// As [`Firewall::start`].
    pub fn take_over(
        setting: Setting<'_>,
        handed: Option<OwnedFd>,
        policy: impl FnOnce(&Admission) -> Policy,
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
        setting: Setting<'_>,
        pins: &Pins,
        before: &[Link],
        fresh: bool,
        policy: impl FnOnce(&Admission) -> Policy,
    ) -> Result<Self, FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let mut routes = DefaultRoutes::default();
        let guarded = before.iter().map(|link| link.interface.clone());
        let mut wanted = Wanted::new(setting.interfaces, guarded);
        routes.follow(&mut wanted, &here, Cause::Notice)?;
        let present = present(&wanted, &here, setting.absent)?;
        check_owners(&present, pins)?;
        object::create_maps(pins)?;
        let mut maps = Maps::pinned(pins)?;
        maps.set_locals(locals::choose(|index| wanted.has(&here, index)))?;
        let mut guards = Guards::new(pins, setting.attach, setting.log);
        present.iter().try_for_each(|interface| guards.load(&interface.name, &mut maps))?;
        let next = policy(&maps.admission()?);
        // New maps hold nothing to judge by, so they are filled first. Maps that were found hold
        // the old policy, which stays until everything else has gone well.
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

    /// Undoes a start after which something else failed. A firewall that was there before stays.
    pub fn give_up(self) {
        if self.fresh {
            abandon(&self.pins);
        }
    }
}

fn abandon(pins: &Pins) {
    if let Err(error) = unload::unload(pins.root()) {
        tracing::error!("cannot take down what a failed start has left: {error}");
    }
}

/// Those of the wanted interfaces that exist.
pub(super) fn present(
    wanted: &Wanted,
    here: &[Interface],
    absent: Absent,
) -> Result<Vec<Interface>, FirewallError> {
    let names = wanted.names();
    if names.is_empty() && absent == Absent::Refused {
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
            None if absent == Absent::Refused && !wanted.is_auto() => {
                let known = here.iter().map(|interface| interface.name.clone()).collect();
                return Err(FirewallError::UnknownInterface { name, known });
            }
            None => tracing::warn!(interface = name, "it does not exist yet: skipped"),
        }
    }
    Ok(present)
}

pub(super) fn check_owners(interfaces: &[Interface], pins: &Pins) -> Result<(), FirewallError> {
    for interface in interfaces {
        if let Owner::Foreign(program) = attach::owner(interface, pins)? {
            return Err(attach::foreign(interface, program));
        }
    }
    Ok(())
}
