//! The programs of the guarded interfaces, which follow their interfaces.
//!
//! A program stays loaded while its interface is away, with the counter slot of that name, so that
//! it is attached as soon as the interface returns.

use std::collections::BTreeMap;

use aop_config::AttachPreference;
use aya::Ebpf;
use aya_log::EbpfLogger;

use super::{
    PacketLog,
    attach::{self, Owner},
    error::FirewallError,
    interfaces::LinkInfo,
    maps::Maps,
    object,
    pins::Pins,
};

/// The programs by interface.
pub(super) struct Guards {
    pins: Pins,
    wish: AttachPreference,
    log: PacketLog,
    programs: BTreeMap<String, Guard>,
    /// Why an interface that should be guarded is not; as logged.
    troubles: BTreeMap<String, String>,
}

struct Guard {
    program: Ebpf,
    followed: bool,
}

impl Guards {
    pub(super) fn new(pins: &Pins, wish: AttachPreference, log: PacketLog) -> Self {
        let (programs, troubles) = Default::default();
        Self { pins: pins.clone(), wish, log, programs, troubles }
    }

    /// Loads the program for the interface `name`, unless it is loaded.
    pub(super) fn load(&mut self, name: &str, maps: &mut Maps) -> Result<(), FirewallError> {
        if !self.programs.contains_key(name) {
            let program = object::load(maps.slot(name)?, self.log, &self.pins)?;
            self.programs.insert(name.to_owned(), Guard { program, followed: false });
        }
        Ok(())
    }

    /// Attaches the loaded program to its interface.
    pub(super) fn attach(&mut self, interface: &LinkInfo) -> Result<(), FirewallError> {
        let Some(guard) = self.programs.get_mut(&interface.name) else { return Ok(()) };
        let program = object::xdp(&mut guard.program)?;
        let mode = attach::attach(program, interface, self.wish, &self.pins)?;
        tracing::info!(interface = interface.name, attach = mode.name(), "guarding");
        Ok(())
    }

    /// Attaches the program to the interface `name` if it exists and has none. Logs an obstacle
    /// once.
    pub(super) fn keep(&mut self, name: &str, here: &[LinkInfo], maps: &mut Maps) {
        let trouble = match here.iter().find(|interface| interface.name == name) {
            None => Some(Trouble::Gone),
            Some(interface) => self.try_keep(interface, maps).err().map(Trouble::Refused),
        };
        let text = trouble.as_ref().map(ToString::to_string);
        if text.as_ref() != self.troubles.get(name) {
            match &trouble {
                Some(Trouble::Gone) => tracing::warn!(interface = name, "{GONE}"),
                Some(Trouble::Refused(error)) => {
                    tracing::error!(interface = name, "packets pass unfiltered: {error}");
                }
                None => {}
            }
        }
        match text {
            Some(text) => self.troubles.insert(name.to_owned(), text),
            None => self.troubles.remove(name),
        };
    }

    fn try_keep(&mut self, interface: &LinkInfo, maps: &mut Maps) -> Result<(), FirewallError> {
        check(interface)?;
        match attach::owner(interface, &self.pins)? {
            Owner::Foreign(program) => Err(attach::foreign(interface, program)),
            Owner::Ours(link) if link.interface == interface.name => Ok(()),
            Owner::Ours(_) | Owner::Nobody => {
                self.load(&interface.name, maps)?;
                self.attach(interface)
            }
        }
    }

    /// Detaches from every interface that is not `wanted`.
    pub(super) fn drop_all_but(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), FirewallError> {
        for link in self.pins.links()?.iter().filter(|link| !wanted(&link.interface)) {
            tracing::warn!(interface = link.interface, "no longer guarded: detached");
            self.pins.detach(link)?;
        }
        self.programs.retain(|name, _| wanted(name));
        self.troubles.retain(|name, _| wanted(name));
        Ok(())
    }

    /// Why the interface is not guarded, if it is not.
    pub(super) fn trouble(&self, name: &str) -> Option<String> {
        self.troubles.get(name).cloned()
    }

    /// Readers of the log buffers that have none yet.
    pub(super) fn loggers(
        &mut self,
    ) -> Result<Vec<EbpfLogger<&'static dyn log::Log>>, aya_log::Error> {
        let fresh = self.programs.values_mut().filter(|guard| !guard.followed);
        fresh
            .map(|guard| {
                guard.followed = true;
                EbpfLogger::init(&mut guard.program)
            })
            .collect()
    }
}

/// Refuses an interface whose frames the packet program cannot read.
pub(super) fn check(interface: &LinkInfo) -> Result<(), FirewallError> {
    match interface.ethernet {
        true => Ok(()),
        false => Err(FirewallError::NotEthernet { name: interface.name.clone() }),
    }
}

enum Trouble {
    Gone,
    Refused(FirewallError),
}

const GONE: &str = "the interface is gone; aop guards it again as soon as it returns";

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone => f.write_str(GONE),
            Self::Refused(error) => error.fmt(f),
        }
    }
}
