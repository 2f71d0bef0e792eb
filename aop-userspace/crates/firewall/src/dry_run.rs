//! Asks the firewall in force for its verdict on a frame.
//!
//! A second instance of the program runs the frame in the kernel, with the maps in force and the
//! routes of this host. It counts in its own map: the live counters do not move.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use aop_common::{
    Action, Mode, Standing, Tally, Verdict,
    layout::{self, Ports, Prefix, Settings},
};
use aop_types::{Admission, PeerEntry, monotonic_seconds};
use aya::programs::loaded_programs;
use ipnet::IpNet;

use super::{
    TestProgram,
    budgets::BudgetMaps,
    error::FirewallError,
    interfaces::{self, LinkInfo, LocalAddress},
    pins::Pins,
    snapshot,
};

/// The firewall in force, as it was when this was opened.
pub struct DryRun {
    pub(super) program: TestProgram,
    pub(super) budgets: BudgetMaps,
    pub(super) interface: LinkInfo,
    pub(super) local: Vec<LocalAddress>,
    pub(super) settings: Settings,
    modes: layout::PackedModes,
    ports: Ports,
    admission: Admission,
}

/// The verdict on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameVerdict {
    /// The decision and its reason.
    pub verdict: Verdict,
    /// The action under the mode in force.
    pub action: Action,
}

impl FrameVerdict {
    /// Whether it passes only because the mode is observe.
    #[must_use]
    pub fn would_drop(self) -> bool {
        self.action == Action::WouldDrop
    }
}

impl DryRun {
    /// The shortest frame that the kernel accepts: an Ethernet header.
    pub const SHORTEST: usize = 14;

    /// Opens the firewall that is pinned in `pins`, for `interface` or the first guarded one.
    ///
    /// # Errors
    /// Nothing is loaded; the interface is not guarded or has another program; or a privilege is
    /// missing.
    pub fn open(pins: &Path, interface: Option<&str>) -> Result<Self, FirewallError> {
        let not_loaded = || FirewallError::NotLoaded(pins.into());
        let pins = Pins::existing(pins)?.ok_or_else(not_loaded)?;
        if !pins.has_maps()? {
            return Err(not_loaded());
        }
        let interface = guarded(&pins, interface)?;
        let mut program = TestProgram::observing(&pins, &interface.name)?;
        if attached_tag(&interface).is_some_and(|tag| program.tag().is_ok_and(|ours| ours != tag)) {
            return Err(FirewallError::OtherProgram { name: interface.name });
        }
        Ok(Self {
            local: interfaces::addresses().map_err(FirewallError::Netlink)?,
            settings: program.maps.settings()?,
            modes: program.maps.written_modes()?,
            ports: program.maps.ports()?,
            admission: program.maps.admission()?,
            budgets: BudgetMaps::pinned(&pins)?,
            interface,
            program,
        })
    }

    /// Runs `frame`, of at least [`DryRun::SHORTEST`] bytes, as if it had arrived on the interface
    /// while all budgets are full. A stranger that got a try keeps it for later frames.
    ///
    /// # Errors
    /// The kernel refuses to run it.
    pub fn judge(&mut self, frame: &[u8]) -> Result<FrameVerdict, FirewallError> {
        self.program.fill_budgets()?;
        self.run(frame)
    }

    /// The same, as if no frame had come before. With `spent`, the budgets of strangers and of that
    /// source's network are empty.
    ///
    /// # Errors
    /// As [`DryRun::judge`].
    pub fn judge_fresh(
        &mut self,
        frame: &[u8],
        spent: Option<IpAddr>,
    ) -> Result<FrameVerdict, FirewallError> {
        self.program.forget_tries()?;
        match spent {
            Some(source) => self.program.spend_budgets(source)?,
            None => self.program.fill_budgets()?,
        }
        self.run(frame)
    }

    fn run(&mut self, frame: &[u8]) -> Result<FrameVerdict, FirewallError> {
        let ran = self.program.run(frame, self.interface.index)?;
        let mut moved = ran
            .moved
            .iter()
            .filter_map(|(moved, _)| Tally::all().find(|(tally, ..)| tally == moved));
        match (moved.next(), moved.next()) {
            (Some((_, verdict, mode)), None) => {
                Ok(FrameVerdict { verdict, action: verdict.action(mode) })
            }
            (None, _) | (Some(_), Some(_)) => Err(FirewallError::Kernel {
                doing: "count a frame once".to_owned(),
                detail: format!("{} counters moved", ran.moved.len()),
            }),
        }
    }

    /// The interface that this answers for.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface.name
    }

    /// The mode of a drop for `port` on this interface; `None` for a drop whose port is unknown.
    #[must_use]
    pub fn mode(&self, port: Option<u16>) -> Mode {
        self.modes.mode(self.program.slot(), port)
    }

    /// Number of the policy in force; each applied policy increments it.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.settings.generation
    }

    /// Whether strangers may try to authenticate.
    #[must_use]
    pub fn gives_probation(&self) -> bool {
        self.settings.probation > 0
    }

    /// Whether admitted networks without an authenticated peer have a budget.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        self.settings.budget > 0
    }

    /// Whether UDP to a guarded port is dropped.
    #[must_use]
    pub fn drops_udp(&self) -> bool {
        self.settings.drops_udp()
    }

    /// The guarded ports.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The admitted and the draining prefixes.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The longest prefix that contains `source`, and the standing of the source.
    #[must_use]
    pub fn standing(&self, source: IpAddr) -> (Option<(IpNet, Prefix)>, Standing) {
        let longest = self.admission.longest(source);
        (longest, longest.map_or(Standing::Unknown, |(_, entry)| entry.standing(monotonic_seconds)))
    }

    /// Whether this address has authenticated.
    #[must_use]
    pub fn authenticated(&self, address: IpAddr) -> bool {
        self.peer(address).is_some()
    }

    /// The authenticated peers, unordered.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerEntry> {
        self.program.maps.peers.iter().flatten().map(snapshot::peer).collect()
    }

    /// An IPv4 address of this host, preferably of the interface.
    #[must_use]
    pub fn local_v4(&self) -> Ipv4Addr {
        let v4 = |address| if let IpAddr::V4(v4) = address { Some(v4) } else { None };
        self.local(v4).unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// An IPv6 address of this host, preferably of the interface.
    #[must_use]
    pub fn local_v6(&self) -> Ipv6Addr {
        let v6 = |address| if let IpAddr::V6(v6) = address { Some(v6) } else { None };
        self.local(v6).unwrap_or(Ipv6Addr::LOCALHOST)
    }

    fn local<A>(&self, of_family: impl Fn(IpAddr) -> Option<A>) -> Option<A> {
        self.local
            .iter()
            .filter_map(|local| Some((local, of_family(local.address)?)))
            .min_by_key(|(local, _)| (local.interface != self.interface.index, !local.global))
            .map(|(_, address)| address)
    }
}

/// The guarded interface of that name, or the first one with a program.
fn guarded(pins: &Pins, name: Option<&str>) -> Result<LinkInfo, FirewallError> {
    let mut guarded: Vec<String> = pins.links()?.into_iter().map(|link| link.interface).collect();
    guarded.sort();
    let here = interfaces::list().map_err(FirewallError::Netlink)?;
    let running =
        |name: &String| here.iter().find(|it| it.name == *name && it.program.is_some()).cloned();
    let wanted = match name {
        Some(name) if guarded.iter().any(|it| it == name) => vec![name.to_owned()],
        Some(name) if !guarded.is_empty() => {
            return Err(FirewallError::NotGuarded { name: name.to_owned(), guarded });
        }
        Some(_) | None => guarded,
    };
    let found = wanted.iter().find_map(running);
    found.ok_or_else(|| match wanted.into_iter().next() {
        Some(name) => FirewallError::NotAttached { name },
        None => FirewallError::NoLink,
    })
}

/// The tag of the interface's program. The kernel shows it to CAP_SYS_ADMIN alone.
fn attached_tag(interface: &LinkInfo) -> Option<u64> {
    let id = interface.program?;
    loaded_programs().flatten().find(|program| program.id() == id).map(|program| program.tag())
}
