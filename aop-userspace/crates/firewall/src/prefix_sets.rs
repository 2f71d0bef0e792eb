//! The two prefix sets, and how one gets its content.
//!
//! Each write is a system call, so only differences are written. The content of a set that this
//! process has filled is known, since it holds the pins' lock; one that it found is read first.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aop_common::{
    layout::{Prefix, PrefixSet},
    prefix_table::Block,
};
use aop_types::Admission;
use aya::maps::{Array, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use ipnet::IpNet;

use super::{error::FirewallError, lookup_table::LookupTable};

type Trie<A> = LpmTrie<MapData, A, Prefix>;

/// Both sets, of both families. Each has its own lock: filling one takes time, and must not block
/// access to the other.
pub(super) struct PrefixSets {
    sets: [Mutex<PrefixMaps>; 2],
    /// The blocks of both.
    table: Mutex<Array<MapData, Block>>,
}

/// The inactive set. Fill it before a [`Firewall::change`], without a lock on the firewall: then
/// the change only has to activate it.
///
/// [`Firewall::change`]: super::Firewall::change
pub struct InactiveSet {
    sets: Arc<PrefixSets>,
    set: PrefixSet,
}

struct PrefixMaps {
    v4: Trie<[u8; 4]>,
    v6: Trie<[u8; 16]>,
    /// Its content, if this process wrote it.
    known: Option<Admission>,
    /// Its part of the table, if this process wrote it.
    known_table: Option<LookupTable>,
}

impl InactiveSet {
    pub(super) fn new(sets: Arc<PrefixSets>, set: PrefixSet) -> Self {
        Self { sets, set }
    }

    /// Writes the admitted prefixes of the next policy.
    ///
    /// # Errors
    /// The kernel refuses a write. The active set has not changed.
    pub fn fill(&self, wanted: &Admission) -> Result<(), FirewallError> {
        let filled = self.sets.fill(self.set, wanted);
        filled.map_err(|error| FirewallError::kernel("write the prefixes", &error))
    }
}

impl PrefixSets {
    /// Opens the maps that `map` finds by their names.
    pub(super) fn open(
        mut map: impl FnMut(&str) -> Result<Map, MapError>,
    ) -> Result<Self, MapError> {
        let mut set = |v4, v6| -> Result<_, MapError> {
            let (v4, v6) = (map(v4)?.try_into()?, map(v6)?.try_into()?);
            Ok(Mutex::new(PrefixMaps { v4, v6, known: None, known_table: None }))
        };
        let sets = [set("PREFIXES_V4_A", "PREFIXES_V6_A")?, set("PREFIXES_V4_B", "PREFIXES_V6_B")?];
        Ok(Self { sets, table: Mutex::new(map("TABLE")?.try_into()?) })
    }

    /// The content of `set`.
    pub(super) fn held(&self, set: PrefixSet) -> Result<Admission, MapError> {
        self.set(set).held()
    }

    /// Makes the set `which` hold exactly `wanted`. After an error its content is
    /// unknown, and read the next time.
    pub(super) fn fill(&self, which: PrefixSet, wanted: &Admission) -> Result<(), MapError> {
        let mut set = self.set(which);
        let holds = set.held()?;
        set.known = None;
        // First removes what is gone or differs: the set may be full, and older kernels need room
        // for a changed entry, too.
        for (prefix, _) in without(&holds, wanted) {
            set.remove(prefix)?;
        }
        for (prefix, entry) in without(wanted, &holds) {
            set.insert(prefix, *entry)?;
        }
        set.known = Some(wanted.clone());
        let table = LookupTable::of(wanted.entries(), which);
        let before = set.known_table.take();
        let mut blocks = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, block) in table.changed_blocks(before.as_ref()) {
            blocks.set(number, block, 0)?;
        }
        set.known_table = Some(table);
        Ok(())
    }

    /// Forgets what is known: another process may have written.
    pub(super) fn forget(&self) {
        for which in PrefixSet::BOTH {
            let mut set = self.set(which);
            (set.known, set.known_table) = (None, None);
        }
    }

    fn set(&self, which: PrefixSet) -> MutexGuard<'_, PrefixMaps> {
        self.sets[which as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type PrefixEntry = (IpNet, Prefix);

/// The entries of `these` without an equal one in `those`. Both are sorted.
fn without<'a>(
    these: &'a Admission,
    those: &'a Admission,
) -> impl Iterator<Item = &'a PrefixEntry> {
    let mut those = those.entries().iter().peekable();
    these.entries().iter().filter(move |entry| {
        while those.next_if(|other| other.0 < entry.0).is_some() {}
        those.peek() != Some(entry)
    })
}

impl PrefixMaps {
    fn held(&self) -> Result<Admission, MapError> {
        self.known.clone().map_or_else(|| self.read(), Ok)
    }

    fn read(&self) -> Result<Admission, MapError> {
        let mut entries = Vec::new();
        for item in self.v4.iter() {
            let (key, entry) = item?;
            entries.push((net(IpAddr::V4(Ipv4Addr::from(key.data())), key.prefix_len()), entry));
        }
        for item in self.v6.iter() {
            let (key, entry) = item?;
            entries.push((net(IpAddr::V6(Ipv6Addr::from(key.data())), key.prefix_len()), entry));
        }
        let entries = entries.into_iter().filter_map(|(net, entry)| Some((net?, entry))).collect();
        Ok(Admission::from_entries(entries))
    }

    fn insert(&mut self, prefix: &IpNet, entry: Prefix) -> Result<(), MapError> {
        let length = u32::from(prefix.prefix_len());
        match prefix.addr() {
            IpAddr::V4(address) => self.v4.insert(&Key::new(length, address.octets()), entry, 0),
            IpAddr::V6(address) => self.v6.insert(&Key::new(length, address.octets()), entry, 0),
        }
    }

    fn remove(&mut self, prefix: &IpNet) -> Result<(), MapError> {
        let length = u32::from(prefix.prefix_len());
        match prefix.addr() {
            IpAddr::V4(address) => self.v4.remove(&Key::new(length, address.octets())),
            IpAddr::V6(address) => self.v6.remove(&Key::new(length, address.octets())),
        }
    }
}

fn net(address: IpAddr, length: u32) -> Option<IpNet> {
    IpNet::new(address, u8::try_from(length).ok()?).ok()
}
