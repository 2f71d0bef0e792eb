//! Attaches the program to an interface, and detaches it.
//!
//! A link that an earlier run pinned is adopted: the program is swapped under it, so that the
//! interface is never without one. A link whose interface is gone is removed.

use aop_config::AttachPreference;
use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    xdp::XdpLink,
};
use rustix::io::Errno;

use super::{
    error::{FirewallError, errno},
    interfaces::LinkInfo,
    native_mode::{self, Obstacle},
    object,
    pins::{AttachMode, PinnedXdpLink, Pins},
};

/// The owner of the XDP program on an interface.
#[derive(Debug)]
pub(super) enum Owner {
    None,
    /// aop, by this pinned link. Its name is an old one if the interface was renamed.
    Ours(PinnedXdpLink),
    /// Another owner; the text describes its program by the kernel's name and id.
    Foreign(String),
}

/// Finds the owner of the program on `interface`.
pub(super) fn owner(interface: &LinkInfo, pins: &Pins) -> Result<Owner, FirewallError> {
    let Some(id) = interface.program else { return Ok(Owner::None) };
    Ok(match adoptable(interface, pins)? {
        Some((link, _)) => Owner::Ours(link),
        None => Owner::Foreign(describe(Some(id))),
    })
}

/// Removes the pins of links that belong to no interface in `here`: the interface is gone, or in
/// another network namespace.
pub(super) fn remove_orphan_links(here: &[LinkInfo], pins: &Pins) -> Result<(), FirewallError> {
    for link in pins.links()? {
        let (program, _held) = open(&link, pins)?;
        if !here.iter().any(|interface| interface.program == Some(program)) {
            pins.detach(&link)?;
        }
    }
    Ok(())
}

/// A guarded interface that has another name now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenamedInterface {
    /// The name under which it was guarded.
    pub from: String,
    /// Its name now.
    pub to: String,
}

/// The interfaces in `here` that carry a link under another name.
pub(super) fn renamed(
    here: &[LinkInfo],
    pins: &Pins,
) -> Result<Vec<RenamedInterface>, FirewallError> {
    let mut renamed = Vec::new();
    for link in pins.links()? {
        let (program, _held) = open(&link, pins)?;
        let now = here.iter().find(|interface| interface.program == Some(program));
        if let Some(now) = now.filter(|now| now.name != link.interface) {
            renamed.push(RenamedInterface { from: link.interface, to: now.name.clone() });
        }
    }
    Ok(renamed)
}

/// Whether an interface had a link of aop before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkOrigin {
    Adopted,
    Fresh,
}

/// Attaches the loaded `program`, and pins its link.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &LinkInfo,
    preference: AttachPreference,
    pins: &Pins,
) -> Result<(AttachMode, LinkOrigin), FirewallError> {
    let mut replaced = None;
    if let Some((link, adopted)) = adoptable(interface, pins)? {
        let link = if link.interface == interface.name {
            link
        } else {
            pins.rename(&link, &interface.name)?
        };
        if acceptable(preference, link.mode) && runs(interface, link.mode) {
            match swap(program, adopted) {
                Ok(()) => return Ok((link.mode, LinkOrigin::Adopted)),
                // The driver allowed a program once, and not any more: with a larger MTU, say.
                Err(error) if driver_refuses(&error) && may_change_mode(interface, preference) => {}
                Err(error) if driver_refuses(&error) => {
                    let obstacle = native_mode::unexplained(interface, errno(&error));
                    return Err(no_mode(interface, link.mode, obstacle));
                }
                Err(error) => {
                    let doing = format!("swap the program on {}", interface.name);
                    return Err(FirewallError::kernel(doing, &error));
                }
            }
            detach(interface, pins)?;
        } else {
            detach_at_once(&link, adopted, pins)?;
        }
        replaced = Some(link.mode);
    }
    // A program that was replaced is detached by now.
    let bare =
        LinkInfo { program: interface.program.filter(|_| replaced.is_none()), ..interface.clone() };
    let interface = &bare;
    remove_stale_links(interface, pins)?;
    let modes: &[AttachMode] = match preference {
        AttachPreference::Auto => &[AttachMode::Native, AttachMode::Generic],
        AttachPreference::Native => &[AttachMode::Native],
        AttachPreference::Generic => &[AttachMode::Generic],
    };
    let origin = if replaced.is_some() { LinkOrigin::Adopted } else { LinkOrigin::Fresh };
    let mut refused = None;
    for mode in modes {
        match attach_fresh(program, interface, *mode, pins) {
            Ok(()) => return Ok((*mode, origin)),
            Err(error) => {
                let of_mode = matches!(error, FirewallError::ModeRefused { .. });
                if let FirewallError::ModeRefused { reason, mode, .. } = &error {
                    tracing::info!(interface = interface.name, "no {mode} mode: {reason}");
                }
                refused = Some(error);
                // Without a program since a moment ago, any mode is better than none.
                if !of_mode && replaced.is_none() {
                    break;
                }
            }
        }
    }
    // The old mode is better than no program at all.
    if let Some(mode) = replaced.filter(|mode| runs(interface, *mode)) {
        attach_fresh(program, interface, mode, pins)?;
    }
    Err(refused.unwrap_or(FirewallError::NoObject))
}

/// Whether the program may be detached, to be attached in another mode. virtio_net before Linux 6.3
/// refuses to give a program back with a large MTU, and then runs it for ever.
fn may_change_mode(interface: &LinkInfo, preference: AttachPreference) -> bool {
    preference == AttachPreference::Auto && !native_mode::is_virtio(interface)
}

/// Puts the program in the place of the one that `link` attaches.
fn swap(program: &mut Xdp, link: XdpLink) -> Result<(), ProgramError> {
    let id = program.attach_to_link(link)?;
    program.take_link(id).map(drop)
}

/// Detaches aop's program from the interface; whether there was one.
pub(super) fn detach(interface: &LinkInfo, pins: &Pins) -> Result<bool, FirewallError> {
    match adoptable(interface, pins)? {
        Some((link, open)) => detach_at_once(&link, open, pins).map(|()| true),
        None => Ok(false),
    }
}

/// The descriptor is closed last: then the kernel detaches at once; otherwise some time later.
fn detach_at_once(link: &PinnedXdpLink, open: XdpLink, pins: &Pins) -> Result<(), FirewallError> {
    pins.detach(link)?;
    drop(open);
    Ok(())
}

fn acceptable(preference: AttachPreference, mode: AttachMode) -> bool {
    match preference {
        AttachPreference::Auto => true,
        AttachPreference::Native => mode == AttachMode::Native,
        AttachPreference::Generic => mode == AttachMode::Generic,
    }
}

/// Whether packets reach a program that is attached in this mode.
pub(super) fn runs(interface: &LinkInfo, mode: AttachMode) -> bool {
    mode == AttachMode::Generic || native_mode::unreported(interface).is_none()
}

/// The pinned link that is attached to `interface` now, if there is one.
fn adoptable(
    interface: &LinkInfo,
    pins: &Pins,
) -> Result<Option<(PinnedXdpLink, XdpLink)>, FirewallError> {
    if interface.program.is_none() {
        return Ok(None);
    }
    for link in pins.links()? {
        let (program, open) = open(&link, pins)?;
        if Some(program) == interface.program {
            return Ok(Some((link, open)));
        }
    }
    Ok(None)
}

/// A pinned link and the id of its program.
fn open(link: &PinnedXdpLink, pins: &Pins) -> Result<(u32, XdpLink), FirewallError> {
    let path = pins.link(link);
    let open = || -> Result<(u32, XdpLink), LinkError> {
        let fd = FdLink::from(PinnedLink::from_pin(&path)?);
        Ok((fd.info()?.program_id(), XdpLink::try_from(fd)?))
    };
    open().map_err(|error| FirewallError::kernel(format!("open {}", path.display()), &error))
}

/// Removes the pins of this interface name that are stale: the interface is gone or renamed, or not
/// attached by them.
fn remove_stale_links(interface: &LinkInfo, pins: &Pins) -> Result<(), FirewallError> {
    pins.links()?
        .iter()
        .filter(|link| link.interface == interface.name)
        .try_for_each(|link| pins.detach(link))
}

fn attach_fresh(
    program: &mut Xdp,
    interface: &LinkInfo,
    mode: AttachMode,
    pins: &Pins,
) -> Result<(), FirewallError> {
    let xdp_mode = match mode {
        AttachMode::Native => XdpMode::Driver,
        AttachMode::Generic => XdpMode::Skb,
    };
    if mode == AttachMode::Native
        && let Some(obstacle) = native_mode::unreported(interface)
    {
        return Err(no_mode(interface, mode, obstacle));
    }
    let id = match program.attach_to_if_index(interface.index, xdp_mode) {
        Ok(id) => id,
        Err(error) => {
            let obstacle = || match mode {
                AttachMode::Native => native_mode::reported(program, interface, errno(&error)),
                AttachMode::Generic => native_mode::unexplained(interface, errno(&error)),
            };
            return Err(refused(interface, mode, &error, obstacle));
        }
    };
    let doing = || format!("attach to {}", interface.name);
    let link = program.take_link(id).map_err(|error| FirewallError::kernel(doing(), &error))?;
    // On a kernel without XDP links, aya falls back to netlink. That cannot be pinned, and the
    // program would be detached with the daemon.
    let link = FdLink::try_from(link).map_err(|_| {
        let reason = "the kernel offers no BPF link for it".to_owned();
        no_mode(interface, mode, Obstacle { reason, cure: None })
    })?;
    let path = pins.link(&PinnedXdpLink { mode, interface: interface.name.clone() });
    link.pin(&path)
        .map(drop)
        .map_err(|error| FirewallError::kernel(format!("pin {}", path.display()), &error))
}

/// ENOTSUPP of the kernel, which some drivers return in place of EOPNOTSUPP.
const NOTSUPP: Errno = Errno::from_raw_os_error(524);

/// Whether the driver does not allow the program.
fn driver_refuses(error: &ProgramError) -> bool {
    matches!(errno(error), Some(Errno::OPNOTSUPP | NOTSUPP | Errno::INVAL | Errno::RANGE))
}

fn no_mode(interface: &LinkInfo, mode: AttachMode, obstacle: Obstacle) -> FirewallError {
    let Obstacle { reason, cure } = obstacle;
    FirewallError::ModeRefused {
        interface: interface.name.clone(),
        mode: mode.name(),
        reason,
        cure,
    }
}

fn refused(
    interface: &LinkInfo,
    mode: AttachMode,
    error: &ProgramError,
    obstacle: impl FnOnce() -> Obstacle,
) -> FirewallError {
    match errno(error) {
        // The kernel refuses a port of a bond or team, too, whose upper device has a program.
        Some(Errno::EXIST) if interface.program.is_none() => {
            FirewallError::UpperHasProgram { interface: interface.name.clone() }
        }
        Some(Errno::BUSY | Errno::EXIST) => foreign(interface, describe(interface.program)),
        Some(Errno::NOMEM | Errno::NOSPC) => no_mode(interface, mode, obstacle()),
        Some(_) if driver_refuses(error) => no_mode(interface, mode, obstacle()),
        Some(_) | None => FirewallError::kernel(format!("attach to {}", interface.name), error),
    }
}

/// The error that names the program on the interface.
pub(super) fn foreign(interface: &LinkInfo, program: String) -> FirewallError {
    FirewallError::ForeignProgram { interface: interface.name.clone(), program }
}

/// Describes a program by name and id. The kernel names programs to CAP_SYS_ADMIN alone.
fn describe(id: Option<u32>) -> String {
    let Some(id) = id else { return "whose id is unknown".to_owned() };
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    match program.as_ref().and_then(|program| program.name_as_str()) {
        Some(object::PROGRAM) => {
            format!("that of an aop with other pins (id {id}): `aop unload --pins DIR` removes it")
        }
        Some(name) => format!("{name:?} (id {id})"),
        None => format!("id {id}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya::sys::SyscallError;

    use super::*;

    fn answer(errno: i32, program: Option<u32>) -> FirewallError {
        let interface = LinkInfo { program, ..LinkInfo::card("eth0", 2) };
        let io_error = io::Error::from_raw_os_error(errno);
        let error = SyscallError { call: "bpf_link_create", io_error };
        let error = ProgramError::SyscallError(error);
        let obstacle = || Obstacle { reason: "a test".to_owned(), cure: None };
        refused(&interface, AttachMode::Native, &error, obstacle)
    }

    #[test]
    fn a_driver_without_support_makes_auto_try_the_generic_mode_also_by_the_kernels_own_number() {
        for errno in [Errno::OPNOTSUPP.raw_os_error(), 524, Errno::INVAL.raw_os_error()] {
            assert!(matches!(answer(errno, None), FirewallError::ModeRefused { .. }), "{errno}");
        }
    }

    #[test]
    fn a_program_on_the_interface_is_foreign_and_one_above_it_is_named_as_such() {
        let (exist, busy) = (Errno::EXIST.raw_os_error(), Errno::BUSY.raw_os_error());
        assert!(matches!(answer(exist, Some(7)), FirewallError::ForeignProgram { .. }));
        assert!(matches!(answer(exist, None), FirewallError::UpperHasProgram { .. }));
        assert!(matches!(answer(busy, None), FirewallError::ForeignProgram { .. }));
    }
}
