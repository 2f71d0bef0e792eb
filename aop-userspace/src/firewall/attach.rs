//! The program's way onto an interface, and off it.
//!
//! A link that an earlier run pinned is adopted: the program is swapped under it, and no packet
//! sees an interface without one. A link whose interface is gone is a zombie and is replaced.

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    xdp::XdpLink,
};
use rustix::io::Errno;

use super::{
    error::{FirewallError, errno},
    interfaces::Interface,
    object,
    pins::{AttachMode, Link, Pins},
};
use crate::config::Attach;

/// Refuses an interface that runs a program which is not ours.
pub(super) fn check_owner(interface: &Interface, pins: &Pins) -> Result<(), FirewallError> {
    match interface.program {
        Some(id) if adoptable(interface, pins)?.is_none() => Err(foreign(interface, Some(id))),
        Some(_) | None => Ok(()),
    }
}

/// Attaches `program`, loaded, and pins its link.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &Interface,
    wish: Attach,
    pins: &Pins,
) -> Result<AttachMode, FirewallError> {
    let mut replaced = None;
    if let Some((link, adopted)) = adoptable(interface, pins)? {
        if acceptable(wish, link.mode) {
            let mut swap = |link| {
                let id = program.attach_to_link(link)?;
                program.take_link(id).map(drop)
            };
            let doing = || format!("swap the program on {}", interface.name);
            swap(adopted).map_err(|error| FirewallError::kernel(doing(), &error))?;
            return Ok(link.mode);
        }
        // The descriptor is closed last: then the kernel detaches at once, and not some time later.
        pins.detach(&link)?;
        drop(adopted);
        replaced = Some(link.mode);
    }
    forget_zombies(interface, pins)?;
    let modes: &[AttachMode] = match wish {
        Attach::Auto => &[AttachMode::Native, AttachMode::Generic],
        Attach::Native => &[AttachMode::Native],
        Attach::Generic => &[AttachMode::Generic],
    };
    let mut refused = None;
    for mode in modes {
        match attach_fresh(program, interface, *mode, pins) {
            Ok(()) => return Ok(*mode),
            Err(error @ FirewallError::ModeRefused { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    // Better guarded in the mode that was not wished for than not at all.
    if let Some(mode) = replaced {
        attach_fresh(program, interface, mode, pins)?;
    }
    Err(refused.unwrap_or(FirewallError::NoObject))
}

fn acceptable(wish: Attach, mode: AttachMode) -> bool {
    match wish {
        Attach::Auto => true,
        Attach::Native => mode == AttachMode::Native,
        Attach::Generic => mode == AttachMode::Generic,
    }
}

/// The pinned link that serves `interface` now, if there is one.
fn adoptable(interface: &Interface, pins: &Pins) -> Result<Option<(Link, XdpLink)>, FirewallError> {
    for link in pins.links()?.into_iter().filter(|link| link.interface == interface.name) {
        let path = pins.link(&link);
        let open = || -> Result<(u32, XdpLink), LinkError> {
            let fd = FdLink::from(PinnedLink::from_pin(&path)?);
            Ok((fd.info()?.program_id(), XdpLink::try_from(fd)?))
        };
        let (program, open) = open()
            .map_err(|error| FirewallError::kernel(format!("open {}", path.display()), &error))?;
        if Some(program) == interface.program {
            return Ok(Some((link, open)));
        }
    }
    Ok(None)
}

/// Removes the pins of links whose interface of this name is gone, or runs without them.
fn forget_zombies(interface: &Interface, pins: &Pins) -> Result<(), FirewallError> {
    pins.links()?
        .iter()
        .filter(|link| link.interface == interface.name)
        .try_for_each(|link| pins.detach(link))
}

fn attach_fresh(
    program: &mut Xdp,
    interface: &Interface,
    mode: AttachMode,
    pins: &Pins,
) -> Result<(), FirewallError> {
    let xdp_mode = match mode {
        AttachMode::Native => XdpMode::Driver,
        AttachMode::Generic => XdpMode::Skb,
    };
    let id = program
        .attach_to_if_index(interface.index, xdp_mode)
        .map_err(|error| refused(interface, mode, &error))?;
    let doing = || format!("attach to {}", interface.name);
    let link = program.take_link(id).map_err(|error| FirewallError::kernel(doing(), &error))?;
    // Where the kernel has no XDP links aya falls back to one that cannot be pinned: not enough,
    // since it would leave with the daemon.
    let link = FdLink::try_from(link).map_err(|_| FirewallError::ModeRefused {
        interface: interface.name.clone(),
        mode: mode.name(),
        error: "it offers no BPF link".to_owned(),
    })?;
    let path = pins.link(&Link { mode, interface: interface.name.clone() });
    link.pin(&path)
        .map(drop)
        .map_err(|error| FirewallError::kernel(format!("pin {}", path.display()), &error))
}

fn refused(interface: &Interface, mode: AttachMode, error: &ProgramError) -> FirewallError {
    match errno(error) {
        Some(Errno::BUSY | Errno::EXIST) => foreign(interface, interface.program),
        Some(Errno::OPNOTSUPP | Errno::INVAL | Errno::RANGE | Errno::NOMEM | Errno::NOSPC) => {
            FirewallError::ModeRefused {
                interface: interface.name.clone(),
                mode: mode.name(),
                error: errno(error).map_or_else(|| error.to_string(), |errno| errno.to_string()),
            }
        }
        Some(_) | None => FirewallError::kernel(format!("attach to {}", interface.name), error),
    }
}

fn foreign(interface: &Interface, id: Option<u32>) -> FirewallError {
    let name = |id: u32| {
        loaded_programs()
            .flatten()
            .find(|program| program.id() == id)
            .and_then(|program| program.name_as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let program = match id {
        Some(id) if name(id) == object::PROGRAM => {
            format!("that of an aop with other pins (id {id}): `aop unload --pins DIR` removes it")
        }
        Some(id) => format!("{:?} (id {id})", name(id)),
        None => "which the kernel does not name".to_owned(),
    };
    FirewallError::ForeignProgram { interface: interface.name.clone(), program }
}
