//! The pinned maps. User space finds them by their names, and compares their shapes with its own
//! list.

use aop_common::{
    Tally,
    bucket::Bucket,
    layout::{
        Counter, DROPS_BYTES, HINTS, InterfaceName, LocalAddresses, MAX_BUDGETS, MAX_PEERS,
        MAX_PREFIXES, MAX_STRANGERS, PackedModes, PeerKey, PeerValue, Ports, Prefix, SLOTS,
        Settings, StrangerKey, StrangerValue,
    },
    prefix_table::{BLOCKS, Block},
};
use aya_ebpf::{
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};

#[btf_map]
pub(crate) static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
pub(crate) static MODES: Array<PackedModes, 2> = Array::new();
#[btf_map]
pub(crate) static LOCALS: Array<LocalAddresses, 1> = Array::new();
#[btf_map]
pub(crate) static GUARDED: Array<Ports, 1> = Array::new();
/// Both prefix sets again, by the first bytes of the address.
#[btf_map]
pub(crate) static TABLE: Array<Block, { BLOCKS as usize }> = Array::new();
#[btf_map]
pub(crate) static PREFIXES_V4_A: LpmTrie<u32, Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
pub(crate) static PREFIXES_V4_B: LpmTrie<u32, Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
pub(crate) static PREFIXES_V6_A: LpmTrie<[u32; 4], Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
pub(crate) static PREFIXES_V6_B: LpmTrie<[u32; 4], Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
pub(crate) static PEERS: LruHashMap<PeerKey, PeerValue, MAX_PEERS> = LruHashMap::new();
#[btf_map]
pub(crate) static VERDICTS: PerCpuArray<Counter, { (SLOTS * Tally::COUNT) as usize }> =
    PerCpuArray::new();
/// Networks in which somebody has authenticated, with the time until which that counts. User space
/// writes it.
#[btf_map]
pub(crate) static NETWORKS: LruHashMap<PeerKey, u64, MAX_BUDGETS> = LruHashMap::new();
/// The budgets of admitted networks in which nobody has authenticated.
#[btf_map]
pub(crate) static BUDGETS: LruHashMap<PeerKey, Bucket, MAX_BUDGETS> = LruHashMap::new();
/// The budget that these networks share.
#[btf_map]
pub(crate) static HOST_BUDGET: Array<Bucket, 1> = Array::new();
/// Strangers on probation, with the end of their probation.
#[btf_map]
pub(crate) static PROBATION: LruHashMap<PeerKey, u64, MAX_BUDGETS> = LruHashMap::new();
/// Times until which some address may be in PEERS and trusted, or in PROBATION: see
/// [`hint`](aop_common::layout::hint).
#[btf_map]
pub(crate) static PEERS_HINTS: Array<u32, HINTS> = Array::new();
#[btf_map]
pub(crate) static PROBATION_HINTS: Array<u32, HINTS> = Array::new();
/// The budget that all strangers share.
#[btf_map]
pub(crate) static STRANGERS: Array<Bucket, 1> = Array::new();
/// Sources that no prefix admits. It is no LRU map: a flood of new sources then finds no room,
/// instead of evicting those that come regularly.
#[btf_map]
pub(crate) static SEEN_STRANGERS: HashMap<StrangerKey, StrangerValue, MAX_STRANGERS> =
    HashMap::new();
/// Sampled drops. An entry wakes no reader: readers look at intervals.
#[btf_map]
pub(crate) static DROPS: RingBuf<(), DROPS_BYTES> = RingBuf::new();
/// One in so many drops of a reason is reported: a power of two; 0 for none. The process that
/// follows the drops writes it. It is no part of SETTINGS, because that has another writer.
#[btf_map]
pub(crate) static SAMPLING: Array<u32, 1> = Array::new();
/// Sampled drops that found the ring buffer full, or that came too fast.
#[btf_map]
pub(crate) static LOST: PerCpuArray<u64, 1> = PerCpuArray::new();
/// The names of the slots, for readers of the counters. The packet path does not read it.
#[btf_map]
pub(crate) static INTERFACES: Array<InterfaceName, { SLOTS as usize }> = Array::new();
