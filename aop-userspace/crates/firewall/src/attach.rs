//! The program's way onto an interface, and off it.
//!
//! A link that an earlier run pinned is adopted: the program is swapped under it, and no packet
//! sees an interface without one. A link whose interface is gone is a zombie and is replaced.

use aop_config::Attach;
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

/// Whose program an interface runs.
#[derive(Debug)]
pub(super) enum Owner {
    Nobody,
    /// Ours, by this pinned link. It bears another name where the interface was renamed.
    Ours(Link),
    /// Another's, described by the kernel's name and id.
    Foreign(String),
}

/// Asks the kernel who owns `interface`.
pub(super) fn owner(interface: &Interface, pins: &Pins) -> Result<Owner, FirewallError> {
    let Some(id) = interface.program else { return Ok(Owner::Nobody) };
    Ok(match adoptable(interface, pins)? {
        Some((link, _)) => Owner::Ours(link),
        None => Owner::Foreign(describe(Some(id))),
    })
}

/// Removes the pins of links that serve no interface that is `here`: it is gone, or has left for
/// another network namespace.
pub(super) fn forget_zombies(here: &[Interface], pins: &Pins) -> Result<(), FirewallError> {
    for link in pins.links()? {
        let (program, _held) = open(&link, pins)?;
        if !here.iter().any(|interface| interface.program == Some(program)) {
            pins.detach(&link)?;
        }
    }
    Ok(())
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
        let link = match link.interface == interface.name {
            true => link,
            false => pins.rename(&link, &interface.name)?,
        };
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
    forget_others(interface, pins)?;
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

/// A pinned link, and its program's id.
fn open(link: &Link, pins: &Pins) -> Result<(u32, XdpLink), FirewallError> {
    let path = pins.link(link);
    let open = || -> Result<(u32, XdpLink), LinkError> {
        let fd = FdLink::from(PinnedLink::from_pin(&path)?);
        Ok((fd.info()?.program_id(), XdpLink::try_from(fd)?))
    };
    open().map_err(|error| FirewallError::kernel(format!("open {}", path.display()), &error))
}

/// Removes the pins of links whose interface of this name is gone, renamed, or runs without them.
fn forget_others(interface: &Interface, pins: &Pins) -> Result<(), FirewallError> {
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
        Some(Errno::BUSY | Errno::EXIST) => foreign(interface, describe(interface.program)),
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

/// The error that names the program in the way.
pub(super) fn foreign(interface: &Interface, program: String) -> FirewallError {
    FirewallError::ForeignProgram { interface: interface.name.clone(), program }
}

/// A program by name and id. Only CAP_SYS_ADMIN may ask for names.
fn describe(id: Option<u32>) -> String {
    let Some(id) = id else { return "which the kernel does not name".to_owned() };
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    match program.as_ref().and_then(|program| program.name_as_str()) {
        Some(object::PROGRAM) => {
            format!("that of an aop with other pins (id {id}): `aop unload --pins DIR` removes it")
        }
        Some(name) => format!("{name:?} (id {id})"),
        None => format!("id {id}"),
    }
}
