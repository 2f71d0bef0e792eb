//! Starts a firewall, as a whole or not at all.

use std::{os::fd::OwnedFd, path::Path};

use aop_config::{AttachPreference, Interfaces};
use aop_types::Admission;

use super::{
    CheckReason, Firewall, FirewallPolicy, MapsOrigin, PacketLog, PinState,
    attach::{self, Owner},
    attachments::{self, Attachments},
    error::FirewallError,
    interfaces::{self, LinkInfo},
    interfaces_wanted::WantedInterfaces,
    local_addresses,
    maps::Maps,
    object,
    pins::{PinnedXdpLink, Pins},
    privilege,
    routes::DefaultRoutes,
    unload,
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
    /// The reaction if a named interface does not exist.
    pub missing: MissingInterface,
}

/// The reaction if a named interface does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingInterface {
    /// Fail.
    Fail,
    /// Skip it: at boot it may appear later.
    Skip,
}

impl Firewall {
    /// Guards the interfaces of `options`. `policy` makes the new policy from the admitted set in
    /// the maps (empty at first).
    ///
    /// # Errors
    /// An interface is unknown, not Ethernet, or owned by another program; privileges, a bpffs or
    /// kernel support are missing; the pins have another layout or another owner. Then the old
    /// policy stays in force, and every guarded interface stays guarded.
    pub fn start(
        options: StartOptions<'_>,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        Self::take_over(options, None, policy)
    }

    /// The same, with a [copy](Firewall::copy_pins_lock) of the lock on the pins from another
    /// process. That process must not write meanwhile.
    ///
    /// # Errors
    /// As [`Firewall::start`].
    pub fn take_over(
        options: StartOptions<'_>,
        handed: Option<OwnedFd>,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        privilege::check()?;
        let pins = Pins::open(options.pins, handed)?;
        let before = pins.links()?;
        let origin = if pins.has_maps() { MapsOrigin::Adopted } else { MapsOrigin::Created };
        let started = Self::load_and_attach(options, &pins, &before, origin, policy);
        if started.is_err() {
            pins.remove_links_except(&before);
            if origin == MapsOrigin::Created {
                abandon(&pins);
            }
        }
        started
    }

    fn load_and_attach(
        options: StartOptions<'_>,
        pins: &Pins,
        before: &[PinnedXdpLink],
        origin: MapsOrigin,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let mut routes = DefaultRoutes::default();
        let guarded = before.iter().map(|link| link.interface.clone());
        let mut wanted = WantedInterfaces::new(options.interfaces, guarded);
        routes.follow(&mut wanted, &here, CheckReason::Event)?;
        let present = present(&wanted, &here, options.missing)?;
        check_owners(&present, pins)?;
        object::create_maps(pins)?;
        let mut maps = Maps::pinned(pins)?;
        maps.set_locals(local_addresses::choose(|index| wanted.has(&here, index)))?;
        let mut attachments = Attachments::new(pins, options.attach, options.log);
        present.iter().try_for_each(|interface| attachments.load(&interface.name, &mut maps))?;
        let next = policy(&maps.admission()?);
        // New maps hold no policy, so it is written first. Existing maps keep the old policy until
        // everything else has succeeded.
        if origin == MapsOrigin::Created {
            maps.apply(&next)?;
        }
        present.iter().try_for_each(|interface| attachments.attach(interface))?;
        if origin == MapsOrigin::Adopted {
            maps.apply(&next)?;
        }
        attachments.detach_except(|name| wanted.contains(name))?;
        Ok(Self {
            pins: pins.clone(),
            maps,
            attachments,
            wanted,
            routes,
            maps_origin: origin,
            pin_state: PinState::Guarding,
        })
    }

    /// Undoes a start after a later step has failed. A firewall that existed before stays.
    pub fn give_up(self) {
        if self.maps_origin == MapsOrigin::Created {
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
    wanted: &WantedInterfaces,
    here: &[LinkInfo],
    missing: MissingInterface,
) -> Result<Vec<LinkInfo>, FirewallError> {
    let names = wanted.names();
    if names.is_empty() && missing == MissingInterface::Fail {
        return Err(FirewallError::NoDefaultRoute);
    }
    if names.is_empty() {
        tracing::warn!("{}", FirewallError::NoDefaultRoute);
    }
    let mut present = Vec::new();
    for name in names {
        match here.iter().find(|interface| interface.name == name) {
            Some(interface) => {
                attachments::check(interface)?;
                present.push(interface.clone());
            }
            None if missing == MissingInterface::Fail && !wanted.is_auto() => {
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
