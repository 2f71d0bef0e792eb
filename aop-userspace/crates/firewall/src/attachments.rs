//! The programs of the guarded interfaces, which follow their interfaces.
//!
//! A program stays loaded while its interface is away, with the counter slot of that name, so that
//! it is attached as soon as the interface returns.

use std::collections::{BTreeMap, BTreeSet};

use aop_config::AttachPreference;
use aya::Ebpf;
use aya_log::EbpfLogger;

use super::{
    PacketLog,
    attach::{self, LinkOrigin, Owner},
    error::FirewallError,
    interfaces::{self, LinkInfo},
    maps::Maps,
    object,
    pins::Pins,
};

/// The programs by interface.
pub(super) struct Attachments {
    pins: Pins,
    preference: AttachPreference,
    log: PacketLog,
    programs: BTreeMap<String, Attachment>,
    /// Why an interface that should be guarded is not; as logged.
    obstacles: BTreeMap<String, String>,
    /// The interfaces that could not be attached to although those above, as far as they are ours,
    /// were detached; with the indexes of the interfaces that had a program then.
    futile: BTreeMap<String, BTreeSet<u32>>,
    /// The interfaces without a link of aop before the change that is under way.
    fresh: BTreeSet<String>,
}

struct Attachment {
    program: Ebpf,
    log_reader: LogReader,
}

/// Whether something reads the program's log buffer. There can be one reader.
#[derive(Clone, Copy, PartialEq)]
enum LogReader {
    None,
    Running,
}

impl Attachments {
    pub(super) fn new(pins: &Pins, preference: AttachPreference, log: PacketLog) -> Self {
        let (programs, obstacles, futile, fresh) = Default::default();
        Self { pins: pins.clone(), preference, log, programs, obstacles, futile, fresh }
    }

    /// Loads the program for the interface `name`, unless it is loaded.
    pub(super) fn load(&mut self, name: &str, maps: &mut Maps) -> Result<(), FirewallError> {
        if !self.programs.contains_key(name) {
            let program = object::load(maps.slot(name)?, self.log, &self.pins)?;
            self.programs
                .insert(name.to_owned(), Attachment { program, log_reader: LogReader::None });
        }
        Ok(())
    }

    /// Attaches the loaded program to its interface.
    pub(super) fn attach(&mut self, interface: &LinkInfo) -> Result<(), FirewallError> {
        // Attaching to another interface may have changed the program of this one.
        let here = interfaces::list().map_err(FirewallError::Netlink)?;
        let interface = here.iter().find(|it| it.index == interface.index).unwrap_or(interface);
        let guarded = matches!(attach::owner(interface, &self.pins)?, Owner::Ours(_));
        let mut attached = self.attach_one(interface);
        let mut detached = Vec::new();
        if let Err(FirewallError::UpperHasProgram { .. }) = &attached {
            let with_program: BTreeSet<u32> =
                here.iter().filter(|other| other.program.is_some()).map(|it| it.index).collect();
            // While the same interfaces have programs, the kernel refuses again.
            if self.futile.get(&interface.name) != Some(&with_program) {
                // It has no program any more, if it had one.
                let bare = LinkInfo { program: None, ..interface.clone() };
                (attached, detached) = self.attach_below_ours(&bare, &here, attached);
                self.futile.insert(interface.name.clone(), with_program);
            }
        }
        if attached.is_ok() {
            self.futile.remove(&interface.name);
        }
        if matches!(attached, Ok(Some(LinkOrigin::Fresh))) && !guarded {
            self.fresh.insert(interface.name.clone());
        }
        for other in &detached {
            if let Err(error) = self.attach_one(other) {
                tracing::error!(interface = other.name, "packets pass unfiltered: {error}");
            }
        }
        attached.map(drop)
    }

    fn attach_one(&mut self, interface: &LinkInfo) -> Result<Option<LinkOrigin>, FirewallError> {
        let Some(attachment) = self.programs.get_mut(&interface.name) else { return Ok(None) };
        let program = object::xdp(&mut attachment.program)?;
        let (mode, origin) = attach::attach(program, interface, self.preference, &self.pins)?;
        tracing::info!(interface = interface.name, attach = mode.name(), "guarding");
        Ok(Some(origin))
    }

    /// Attaches to an interface below others. The kernel attaches there only while none above has a
    /// program, so the virtual interfaces lose theirs one by one, until it does. Returns those that
    /// have lost it.
    fn attach_below_ours(
        &mut self,
        interface: &LinkInfo,
        here: &[LinkInfo],
        refused: Result<Option<LinkOrigin>, FirewallError>,
    ) -> (Result<Option<LinkOrigin>, FirewallError>, Vec<LinkInfo>) {
        let above = |other: &&LinkInfo| {
            let virtually = other.devices.is_empty() && other.index != interface.index;
            virtually && other.program.is_some() && self.programs.contains_key(&other.name)
        };
        let candidates: Vec<LinkInfo> = here.iter().filter(above).cloned().collect();
        let (mut attached, mut detached) = (refused, Vec::new());
        for other in candidates {
            match attach::detach(&other, &self.pins) {
                Ok(false) => continue,
                Ok(true) => {
                    detached.push(LinkInfo { program: None, ..other });
                    attached = self.attach_one(interface);
                }
                Err(error) => attached = Err(error),
            }
            if !matches!(attached, Err(FirewallError::UpperHasProgram { .. })) {
                break;
            }
        }
        (attached, detached)
    }

    /// A change begins, which [`Attachments::undo`] may undo.
    pub(super) fn begin_change(&mut self) {
        self.fresh.clear();
    }

    /// Detaches from the interfaces that had no link of aop before the change.
    pub(super) fn undo(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let links = self.pins.links().unwrap_or_default();
        for link in links.iter().filter(|link| fresh.contains(&link.interface)) {
            if let Err(error) = self.pins.detach(link) {
                tracing::error!(
                    interface = link.interface,
                    "cannot detach after a failed change: {error}"
                );
            }
        }
    }

    /// Attaches the program to the interface `name` if it exists and has none. Logs an obstacle
    /// once.
    pub(super) fn ensure_attached(&mut self, name: &str, here: &[LinkInfo], maps: &mut Maps) {
        let obstacle = match here.iter().find(|interface| interface.name == name) {
            None => Some(Obstacle::Gone),
            Some(interface) => self.try_ensure(interface, maps).err().map(Obstacle::Refused),
        };
        let text = obstacle.as_ref().map(ToString::to_string);
        if text.as_ref() != self.obstacles.get(name) {
            match &obstacle {
                Some(Obstacle::Gone) => tracing::warn!(interface = name, "{GONE}"),
                Some(Obstacle::Refused(error)) => {
                    tracing::error!(interface = name, "packets pass unfiltered: {error}");
                }
                None => {}
            }
        }
        match text {
            Some(text) => self.obstacles.insert(name.to_owned(), text),
            None => self.obstacles.remove(name),
        };
    }

    fn try_ensure(&mut self, interface: &LinkInfo, maps: &mut Maps) -> Result<(), FirewallError> {
        check(interface)?;
        match attach::owner(interface, &self.pins)? {
            Owner::Foreign(program) => Err(attach::foreign(interface, program)),
            Owner::Ours(link)
                if link.interface == interface.name && attach::runs(interface, link.mode) =>
            {
                Ok(())
            }
            Owner::Ours(_) | Owner::None => {
                self.load(&interface.name, maps)?;
                self.attach(interface)
            }
        }
    }

    /// Detaches from every interface that is not `wanted`.
    pub(super) fn detach_except(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), FirewallError> {
        for link in self.pins.links()?.iter().filter(|link| !wanted(&link.interface)) {
            tracing::warn!(interface = link.interface, "no longer guarded: detached");
            self.pins.detach(link)?;
        }
        self.programs.retain(|name, _| wanted(name));
        self.obstacles.retain(|name, _| wanted(name));
        self.futile.retain(|name, _| wanted(name));
        Ok(())
    }

    /// Why the interface is not guarded, if it is not.
    pub(super) fn obstacle(&self, name: &str) -> Option<String> {
        self.obstacles.get(name).cloned()
    }

    /// Readers of the log buffers that have none yet.
    pub(super) fn loggers(
        &mut self,
    ) -> Result<Vec<EbpfLogger<&'static dyn log::Log>>, aya_log::Error> {
        let unread = |attachment: &&mut Attachment| attachment.log_reader == LogReader::None;
        let start = |attachment: &mut Attachment| {
            attachment.log_reader = LogReader::Running;
            EbpfLogger::init(&mut attachment.program)
        };
        self.programs.values_mut().filter(unread).map(start).collect()
    }
}

/// Refuses an interface whose frames the packet program cannot read.
pub(super) fn check(interface: &LinkInfo) -> Result<(), FirewallError> {
    if interface.ethernet {
        return Ok(());
    }
    Err(FirewallError::NotEthernet { name: interface.name.clone() })
}

enum Obstacle {
    Gone,
    Refused(FirewallError),
}

const GONE: &str = "the interface is gone; aop guards it again as soon as it returns";

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => f.write_str(GONE),
            Self::Refused(error) => error.fmt(f),
        }
    }
}
