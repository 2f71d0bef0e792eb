//! Starts a firewall, as a whole or not at all.

use std::{
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

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
    migration::Migration,
    object,
    pins::{PinnedXdpLink, Pins},
    privilege,
    routes::DefaultRoutes,
    unload, warn_of_unguardable,
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
    /// The interfaces that `auto` guarded last, by name. At boot none of them is up yet.
    pub before: &'a [String],
    /// The reaction if an interface does not exist.
    pub missing: MissingInterface,
}

/// The reaction if an interface that should be guarded does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingInterface {
    /// Fail if the configuration names it: it may be misspelled.
    Fail,
    /// Wait for it, but fail if there is no other.
    Await,
    /// Wait for it: at boot all may appear later.
    AwaitAll,
}

/// Waits for the interfaces `names`, but no longer than `limit`, and no longer than a moment after
/// the last one that appeared: others may need the network to be made.
pub(super) fn await_interfaces(names: &[String], limit: Duration) {
    const STEP: Duration = Duration::from_millis(20);
    const QUIET: Duration = Duration::from_millis(500);
    let begun = Instant::now();
    let (mut last, mut found) = (begun, 0);
    while begun.elapsed() < limit {
        // The start reports an error.
        let here = interfaces::list().unwrap_or_default();
        let exists = |name: &&String| here.iter().any(|interface| interface.name == **name);
        let exist = names.iter().filter(exists).count();
        if exist > found {
            (last, found) = (Instant::now(), exist);
        }
        if exist == names.len() || (found > 0 && last.elapsed() > QUIET) {
            return;
        }
        thread::sleep(STEP);
    }
}

impl Firewall {
    /// Guards the interfaces of `options`. `policy` makes the new policy from the admitted set in
    /// the maps (empty at first).
    ///
    /// # Errors
    /// No interface can be guarded, or a named one is owned by another program; privileges, a bpffs
    /// or kernel support are missing; the pins have another layout or another owner. Then the old
    /// policy stays in force, and every guarded interface stays guarded.
    pub fn start(
        options: StartOptions<'_>,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<Self, FirewallError> {
        let mut firewall = Self::take_over(options, None, policy)?.commit();
        firewall.finish_migration();
        Ok(firewall)
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
    ) -> Result<UncommittedStart, FirewallError> {
        privilege::check()?;
        let (pins, older) = Pins::open(options.pins, handed)?;
        let migration = Migration::begin(&pins, older)?;
        let before = pins.links()?;
        let origin = if pins.has_maps()? { MapsOrigin::Adopted } else { MapsOrigin::Created };
        match Self::load_and_attach(options, &pins, &before, origin, policy) {
            Ok((mut firewall, undo)) => {
                firewall.migration = Some(migration);
                Ok(UncommittedStart { firewall, undo })
            }
            Err(error) => {
                match origin {
                    MapsOrigin::Created => abandon(&pins),
                    MapsOrigin::Adopted => migration.undo(),
                }
                Err(error)
            }
        }
    }

    fn load_and_attach(
        options: StartOptions<'_>,
        pins: &Pins,
        before: &[PinnedXdpLink],
        origin: MapsOrigin,
        policy: impl FnOnce(&Admission) -> FirewallPolicy,
    ) -> Result<(Self, Undo), FirewallError> {
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let mut routes = DefaultRoutes::default();
        let guarded = before.iter().map(|link| link.interface.clone());
        let guarded = guarded.chain(options.before.iter().cloned());
        let mut wanted = WantedInterfaces::new(options.interfaces, guarded);
        routes.follow(&mut wanted, &here, CheckReason::Event)?;
        warn_of_unguardable(&wanted, &[]);
        let present = present(&wanted, &here, options.missing)?;
        let present = each(present, &wanted, |it| check(it, pins))?;
        object::create_maps(pins)?;
        let mut maps = Maps::pinned(pins)?;
        maps.set_locals(local_addresses::choose(|index| wanted.has(&here, index)))?;
        let mut attachments = Attachments::new(pins, options.attach, options.log);
        let present = each(present, &wanted, |it| attachments.load(&it.name, &mut maps))?;
        let (next, undo) = match origin {
            MapsOrigin::Created => (policy(&maps.admission()?), Undo::Abandon),
            MapsOrigin::Adopted => {
                let before_start = maps.policy()?;
                let next = policy(&before_start.admission);
                (next, Undo::Restore(Box::new(before_start)))
            }
        };
        // New maps hold no policy, so it is written first. Existing maps keep the old policy until
        // everything else has succeeded.
        if origin == MapsOrigin::Created {
            maps.apply(&next)?;
        }
        let attached = each(lowest_first(present), &wanted, |it| attachments.attach(it));
        let applied = attached.and_then(|_| match origin {
            MapsOrigin::Created => Ok(()),
            MapsOrigin::Adopted => maps.apply(&next),
        });
        if applied.is_err() {
            attachments.undo();
        }
        applied?;
        let firewall = Self {
            pins: pins.clone(),
            maps,
            attachments,
            wanted,
            routes,
            pin_state: PinState::Guarding,
            migration: None,
        };
        Ok((firewall, undo))
    }
}

/// A firewall in force, of a start that later steps may still make fail.
#[must_use = "commit it, or give it up"]
pub struct UncommittedStart {
    firewall: Firewall,
    undo: Undo,
}

/// The state before a start, which a failure restores.
enum Undo {
    /// Nothing.
    Abandon,
    /// This policy.
    Restore(Box<FirewallPolicy>),
}

impl UncommittedStart {
    /// The firewall.
    #[must_use]
    pub fn firewall(&self) -> &Firewall {
        &self.firewall
    }

    /// All steps have succeeded: detaches from the interfaces that are no longer wanted. After it,
    /// call [`Firewall::finish_migration`] once no older build may take over again.
    #[must_use]
    pub fn commit(self) -> Firewall {
        let mut firewall = self.firewall;
        firewall.detach_unwanted();
        firewall
    }

    /// A later step has failed: puts into force what was in force before.
    pub fn give_up(self) {
        let Self { mut firewall, undo } = self;
        match undo {
            Undo::Abandon => abandon(&firewall.pins),
            Undo::Restore(policy) => {
                if let Err(error) = firewall.maps.apply(&policy) {
                    tracing::error!(
                        "cannot restore the policy that was in force before the failed start: \
                         {error}"
                    );
                }
                firewall.attachments.undo();
                firewall.migration.take().into_iter().for_each(Migration::undo);
            }
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
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for name in wanted.names() {
        match here.iter().find(|interface| interface.name == name) {
            Some(interface) => present.push(interface.clone()),
            None => absent.push(name),
        }
    }
    let unknown = absent.first().filter(|_| !wanted.is_auto()).map(|name| {
        let known = here.iter().map(|interface| interface.name.clone()).collect();
        FirewallError::UnknownInterface { name: name.clone(), known }
    });
    let nothing = || FirewallError::NothingToGuard { unguardable: wanted.unguardable().to_vec() };
    match (missing, unknown, present.is_empty()) {
        (MissingInterface::Fail, Some(error), _) => return Err(error),
        (MissingInterface::Fail | MissingInterface::Await, error, true) => {
            return Err(error.unwrap_or_else(nothing));
        }
        (MissingInterface::AwaitAll, _, true) if absent.is_empty() => {
            tracing::warn!("{}", nothing());
        }
        (MissingInterface::Fail, None, _)
        | (MissingInterface::Await, _, false)
        | (MissingInterface::AwaitAll, ..) => {}
    }
    for name in absent {
        tracing::warn!(
            interface = name,
            "the interface does not exist; aop guards it as soon as it appears"
        );
    }
    // If slots are scarce, the interfaces that matter most get them.
    present.sort_by_key(|interface| wanted.may_skip(&interface.name));
    Ok(present)
}

/// The order in which programs are attached: the kernel refuses one below an interface that has
/// one. Most are made after those below them, and the kernel numbers them in this order; for the
/// others, see [`Attachments::attach`].
pub(super) fn lowest_first(mut interfaces: Vec<LinkInfo>) -> Vec<LinkInfo> {
    interfaces.sort_by_key(|interface| interface.index);
    interfaces
}

/// Calls `act` for each interface, and returns those for which it succeeds. If `auto` chose them,
/// the others are skipped with an error in the log, unless one carries a default route, or none is
/// left.
pub(super) fn each(
    interfaces: Vec<LinkInfo>,
    wanted: &WantedInterfaces,
    mut act: impl FnMut(&LinkInfo) -> Result<(), FirewallError>,
) -> Result<Vec<LinkInfo>, FirewallError> {
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for interface in interfaces {
        match act(&interface) {
            Ok(()) => done.push(interface),
            Err(error) if wanted.may_skip(&interface.name) => refused.push(error),
            Err(error) => return Err(error),
        }
    }
    if done.is_empty()
        && let Some(error) = refused.pop()
    {
        return Err(error);
    }
    for error in refused {
        tracing::error!("packets pass unfiltered: {error}");
    }
    Ok(done)
}

/// Refuses an interface that aop cannot or must not guard.
pub(super) fn check(interface: &LinkInfo, pins: &Pins) -> Result<(), FirewallError> {
    attachments::check(interface)?;
    match attach::owner(interface, pins)? {
        Owner::Foreign(program) => Err(attach::foreign(interface, program)),
        Owner::Ours(_) | Owner::None => Ok(()),
    }
}
