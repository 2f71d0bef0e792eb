//! The shared maps, typed, and how a policy is written into them.

use std::sync::Arc;

use aop_common::{
    Tally,
    bucket::Bucket,
    layout::{
        self, Counter, DROPS_BYTES, HINTS, InterfaceName, LocalAddresses, MAX_BUDGETS, MAX_PEERS,
        MAX_PREFIXES, MAX_STRANGERS, PeerKey, PeerValue, Ports, Prefix, SLOTS, Settings,
        StrangerKey, StrangerValue,
    },
    prefix_table::{BLOCKS, Block},
};
use aop_config::UdpPolicy;
use aop_types::{Admission, Modes};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, MapInfo, MapType, PerCpuArray},
};

use super::{
    FirewallPolicy,
    error::FirewallError,
    modes,
    pins::Pins,
    prefix_sets::{InactiveSet, PrefixSets},
};

/// The properties of a map that the kernel reports.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct MapShape {
    pub(super) name: &'static str,
    kind: MapType,
    key: usize,
    value: usize,
    entries: usize,
    flags: u32,
}

/// BPF_F_NO_PREALLOC, which the kernel requires for a trie.
const NO_PREALLOC: u32 = 1;
const INDEX: usize = size_of::<u32>();

/// Every pinned map.
pub(super) const LAYOUT: [MapShape; 23] = [
    array("SETTINGS", size_of::<Settings>(), 1),
    array("MODES", size_of::<layout::PackedModes>(), 2),
    array("LOCALS", size_of::<LocalAddresses>(), 1),
    array("GUARDED", size_of::<Ports>(), 1),
    array("TABLE", size_of::<Block>(), BLOCKS as usize),
    trie("PREFIXES_V4_A", 4),
    trie("PREFIXES_V4_B", 4),
    trie("PREFIXES_V6_A", 16),
    trie("PREFIXES_V6_B", 16),
    lru("PEERS", size_of::<PeerValue>(), MAX_PEERS),
    lru("NETWORKS", size_of::<u64>(), MAX_BUDGETS),
    lru("BUDGETS", size_of::<Bucket>(), MAX_BUDGETS),
    array("HOST_BUDGET", size_of::<Bucket>(), 1),
    lru("PROBATION", size_of::<u64>(), MAX_BUDGETS),
    array("PEERS_HINTS", size_of::<u32>(), HINTS),
    array("PROBATION_HINTS", size_of::<u32>(), HINTS),
    array("STRANGERS", size_of::<Bucket>(), 1),
    MapShape {
        name: "SEEN_STRANGERS",
        kind: MapType::Hash,
        key: size_of::<StrangerKey>(),
        value: size_of::<StrangerValue>(),
        entries: MAX_STRANGERS,
        flags: 0,
    },
    MapShape {
        name: "DROPS",
        kind: MapType::RingBuf,
        key: 0,
        value: 0,
        entries: DROPS_BYTES,
        flags: 0,
    },
    array("SAMPLING", size_of::<u32>(), 1),
    per_cpu("LOST", size_of::<u64>(), 1),
    per_cpu("VERDICTS", size_of::<Counter>(), (SLOTS * Tally::COUNT) as usize),
    array("INTERFACES", size_of::<InterfaceName>(), SLOTS as usize),
];

const fn array(name: &'static str, value: usize, entries: usize) -> MapShape {
    MapShape { name, kind: MapType::Array, key: INDEX, value, entries, flags: 0 }
}

const fn per_cpu(name: &'static str, value: usize, entries: usize) -> MapShape {
    MapShape { name, kind: MapType::PerCpuArray, key: INDEX, value, entries, flags: 0 }
}

/// A new entry replaces the least recently used one.
const fn lru(name: &'static str, value: usize, entries: usize) -> MapShape {
    let key = size_of::<PeerKey>();
    MapShape { name, kind: MapType::LruHash, key, value, entries, flags: 0 }
}

const fn trie(name: &'static str, address: usize) -> MapShape {
    let (key, value) = (INDEX + address, size_of::<Prefix>());
    MapShape { name, kind: MapType::LpmTrie, key, value, entries: MAX_PREFIXES, flags: NO_PREALLOC }
}

/// Compares the pinned maps with [`LAYOUT`].
pub(super) fn check_pinned(pins: &Pins) -> Result<(), FirewallError> {
    for shape in &LAYOUT {
        if let Some(found) = shape.pinned(pins)?
            && found != *shape
        {
            return Err(shape.refuse(pins, found));
        }
    }
    Ok(())
}

impl MapShape {
    /// The shape of the pinned map of this name, if there is one.
    pub(super) fn pinned(&self, pins: &Pins) -> Result<Option<Self>, FirewallError> {
        let path = pins.map(self.name);
        if !path.exists() {
            return Ok(None);
        }
        let map_info = MapInfo::from_pin(&path);
        let info = map_info
            .map_err(|error| FirewallError::kernel(format!("open {}", path.display()), &error))?;
        Ok(Some(Self {
            name: self.name,
            kind: info.map_type().unwrap_or(MapType::Unspecified),
            key: info.key_size() as usize,
            value: info.value_size() as usize,
            entries: info.max_entries() as usize,
            flags: info.map_flags(),
        }))
    }

    /// The error that a pinned map has another shape.
    pub(super) fn refuse(&self, pins: &Pins, found: Self) -> FirewallError {
        let (found, expected) = (found.to_string(), self.to_string());
        FirewallError::MapLayout { path: pins.map(self.name), found, expected }
    }
}

impl std::fmt::Display for MapShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, key, value, entries, flags, .. } = self;
        write!(f, "{kind:?} {key}+{value} bytes × {entries}, flags {flags}")
    }
}

/// Open maps.
pub(super) struct Maps {
    settings: Array<MapData, Settings>,
    modes: Array<MapData, layout::PackedModes>,
    locals: Array<MapData, LocalAddresses>,
    /// The modes as last written: a new interface gets its own mode together with its slot.
    wanted_modes: Option<Modes>,
    guarded: Array<MapData, Ports>,
    sets: Arc<PrefixSets>,
    pub(super) peers: HashMap<MapData, PeerKey, PeerValue>,
    pub(super) peers_hints: Array<MapData, u32>,
    sampling: Array<MapData, u32>,
    lost: PerCpuArray<MapData, u64>,
    verdicts: PerCpuArray<MapData, Counter>,
    interfaces: Array<MapData, InterfaceName>,
}

impl Maps {
    /// The pinned maps, which must all exist.
    pub(super) fn pinned(pins: &Pins) -> Result<Self, FirewallError> {
        check_pinned(pins)?;
        Self::open(|name| Map::from_map_data(MapData::from_pin(pins.map(name))?))
            .map_err(|error| FirewallError::kernel("open the pinned maps", &error))
    }

    /// The maps of a program that has its own.
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, FirewallError> {
        let missing = |name: &str| MapError::InvalidName { name: name.to_owned() };
        Self::open(|name| ebpf.take_map(name).ok_or_else(|| missing(name)))
            .map_err(|error| FirewallError::kernel("open the maps", &error))
    }

    fn open(mut map: impl FnMut(&str) -> Result<Map, MapError>) -> Result<Self, MapError> {
        Ok(Self {
            settings: map("SETTINGS")?.try_into()?,
            modes: map("MODES")?.try_into()?,
            locals: map("LOCALS")?.try_into()?,
            wanted_modes: None,
            guarded: map("GUARDED")?.try_into()?,
            sets: Arc::new(PrefixSets::open(&mut map)?),
            peers: map("PEERS")?.try_into()?,
            peers_hints: map("PEERS_HINTS")?.try_into()?,
            sampling: map("SAMPLING")?.try_into()?,
            lost: map("LOST")?.try_into()?,
            verdicts: map("VERDICTS")?.try_into()?,
            interfaces: map("INTERFACES")?.try_into()?,
        })
    }

    /// Writes `policy`: first the inactive prefix set, then the one word that activates it.
    pub(super) fn apply(&mut self, policy: &FirewallPolicy) -> Result<(), FirewallError> {
        self.try_apply(policy).map_err(|error| FirewallError::kernel("write the policy", &error))
    }

    fn try_apply(&mut self, policy: &FirewallPolicy) -> Result<(), MapError> {
        let generation = self.settings.get(&0, 0)?.generation.wrapping_add(1);
        let settings = Settings {
            generation,
            probation: policy.probation,
            budget: policy.budget,
            drop_udp: u32::from(policy.udp == UdpPolicy::Drop),
        };
        self.sets.fill(settings.active_set(), &policy.admission)?;
        let ports = self.guarded.get(&0, 0)?;
        self.guarded.set(0, policy.ports, 0)?;
        let modes = self.wanted_modes.clone();
        let written = self
            .try_write_modes(settings, policy.modes.clone())
            .and_then(|()| self.settings.set(0, settings, 0));
        if written.is_err() {
            // The set, the modes and the limits before are in force still: their ports, too.
            self.wanted_modes = modes;
            self.guarded.set(0, ports, 0)?;
        }
        written
    }

    /// The policy in force.
    pub(super) fn policy(&self) -> Result<FirewallPolicy, FirewallError> {
        let settings = self.settings()?;
        Ok(FirewallPolicy {
            modes: self.modes()?,
            ports: self.ports()?,
            admission: self.admission()?,
            udp: if settings.drops_udp() { UdpPolicy::Drop } else { UdpPolicy::Pass },
            probation: settings.probation,
            budget: settings.budget,
        })
    }

    /// Forgets what is known of the sets: another process may have written them.
    pub(super) fn forget(&self) {
        self.sets.forget();
    }

    /// Writes the modes of the generation in `settings`.
    fn try_write_modes(&mut self, settings: Settings, modes: Modes) -> Result<(), MapError> {
        let written = modes::to_layout(&modes, &self.try_slot_names()?);
        self.modes.set(settings.active_set().index(), written, 0)?;
        self.wanted_modes = Some(modes);
        Ok(())
    }

    /// The modes in force.
    pub(super) fn modes(&self) -> Result<Modes, FirewallError> {
        Ok(modes::from_layout(&self.written_modes()?, &self.slot_names()?))
    }

    /// The modes in force, in the layout of the map.
    pub(super) fn written_modes(&self) -> Result<layout::PackedModes, FirewallError> {
        let active = self.settings()?.active_set().index();
        self.modes.get(&active, 0).map_err(|error| FirewallError::kernel("read MODES", &error))
    }

    /// Writes the local addresses, if they differ from those in the map.
    pub(super) fn set_locals(&mut self, locals: LocalAddresses) -> Result<(), FirewallError> {
        let mut write = || {
            if self.locals.get(&0, 0)? == locals { Ok(()) } else { self.locals.set(0, locals, 0) }
        };
        write().map_err(|error: MapError| FirewallError::kernel("write LOCALS", &error))
    }

    /// Sets the sampling: one drop in `sampling` of each reason goes to the ring buffer; 0 for
    /// none.
    pub(super) fn sample(&mut self, sampling: u32) -> Result<(), FirewallError> {
        self.sampling
            .set(0, sampling, 0)
            .map_err(|error| FirewallError::kernel("write SAMPLING", &error))
    }

    /// The last value of [`Maps::sample`].
    pub(super) fn sampling(&self) -> Result<u32, FirewallError> {
        self.sampling.get(&0, 0).map_err(|error| FirewallError::kernel("read SAMPLING", &error))
    }

    /// How many sampled drops found the ring buffer full.
    pub(super) fn lost(&self) -> Result<u64, FirewallError> {
        let lost = self.lost.get(&0, 0).map(|cpus| cpus.iter().sum());
        lost.map_err(|error| FirewallError::kernel("read LOST", &error))
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> Result<Settings, FirewallError> {
        self.settings.get(&0, 0).map_err(|error| FirewallError::kernel("read SETTINGS", &error))
    }

    /// The guarded ports.
    pub(super) fn ports(&self) -> Result<Ports, FirewallError> {
        self.guarded.get(&0, 0).map_err(|error| FirewallError::kernel("read GUARDED", &error))
    }

    /// The inactive prefix set, into which the next policy will be written.
    pub(super) fn inactive_set(&self) -> Result<InactiveSet, FirewallError> {
        Ok(InactiveSet::new(Arc::clone(&self.sets), self.settings()?.active_set().other()))
    }

    /// The active prefix set.
    pub(super) fn admission(&self) -> Result<Admission, FirewallError> {
        let held = self.sets.held(self.settings()?.active_set());
        held.map_err(|error| FirewallError::kernel("read the prefixes", &error))
    }

    /// The counter slot of the interface. It keeps the slot as long as the maps exist.
    pub(super) fn slot(&mut self, interface: &str) -> Result<u32, FirewallError> {
        if let Some(slot) = self.known_slot(interface)? {
            return Ok(slot);
        }
        let free =
            self.slot_names()?.iter().position(Option::is_none).ok_or(FirewallError::NoSlot)?
                as u32;
        let mut name = InterfaceName::default();
        for (byte, from) in name.0.iter_mut().zip(interface.bytes()) {
            *byte = from;
        }
        self.interfaces
            .set(free, name, 0)
            .map_err(|error| FirewallError::kernel("write INTERFACES", &error))?;
        if let Some(modes) = self.wanted_modes.clone() {
            self.try_write_modes(self.settings()?, modes)
                .map_err(|error| FirewallError::kernel("write MODES", &error))?;
        }
        Ok(free)
    }

    /// The slot of an interface that has one.
    pub(super) fn known_slot(&self, interface: &str) -> Result<Option<u32>, FirewallError> {
        let names = self.slot_names()?;
        let slot = names.iter().position(|name| name.as_deref() == Some(interface));
        Ok(slot.and_then(|slot| u32::try_from(slot).ok()))
    }

    /// The interface of each slot.
    pub(super) fn slot_names(&self) -> Result<Vec<Option<String>>, FirewallError> {
        self.try_slot_names().map_err(|error| FirewallError::kernel("read INTERFACES", &error))
    }

    fn try_slot_names(&self) -> Result<Vec<Option<String>>, MapError> {
        let name = |InterfaceName(bytes): InterfaceName| {
            let text: Vec<u8> = bytes.into_iter().take_while(|byte| *byte != 0).collect();
            String::from_utf8(text).ok().filter(|text| !text.is_empty())
        };
        self.interfaces.iter().map(|found| found.map(name)).collect()
    }

    /// The counters of a slot, summed over the CPUs, in the order of [`Tally::all`].
    pub(super) fn counters(&self, slot: u32) -> Result<Vec<Counter>, FirewallError> {
        let counter = |(tally, ..): (Tally, _, _)| {
            let cpus = self.verdicts.get(&(slot * Tally::COUNT + tally.index()), 0)?;
            Ok(cpus.iter().fold(Counter::default(), |sum, cpu| Counter {
                packets: sum.packets + cpu.packets,
                bytes: sum.bytes + cpu.bytes,
            }))
        };
        let counters: Result<Vec<_>, MapError> = Tally::all().map(counter).collect();
        counters.map_err(|error| FirewallError::kernel("read VERDICTS", &error))
    }
}
