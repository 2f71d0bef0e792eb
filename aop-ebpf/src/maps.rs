//! The shared maps, and the policy's facts read from them.
#![allow(unsafe_code, reason = "map values and helpers are reached through raw pointers")]

use core::{mem::MaybeUninit, ptr};

use aop_common::{
    Address, Flow, Mode, Standing, Tally, Verdict,
    layout::{
        Counter, InterfaceName, MAX_PEERS, MAX_PREFIXES, Peer, PeerKey, Ports, Prefix, SLOTS,
        Settings,
    },
};
use aya_ebpf::{
    Global,
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS,
        bpf_fib_lookup as FibLookup,
    },
    btf_maps::{Array, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key},
    helpers::{bpf_fib_lookup, bpf_ktime_get_coarse_ns},
    macros::btf_map,
    programs::XdpContext,
};

use crate::log;

#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static GUARDED: Array<Ports, 1> = Array::new();
#[btf_map]
static PREFIXES_V4_A: LpmTrie<[u8; 4], Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
static PREFIXES_V4_B: LpmTrie<[u8; 4], Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
static PREFIXES_V6_A: LpmTrie<[u8; 16], Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
static PREFIXES_V6_B: LpmTrie<[u8; 16], Prefix, MAX_PREFIXES> = LpmTrie::new();
#[btf_map]
static PEERS: LruHashMap<PeerKey, Peer, MAX_PEERS> = LruHashMap::new();
#[btf_map]
static VERDICTS: PerCpuArray<Counter, { (SLOTS * Tally::COUNT) as usize }> = PerCpuArray::new();
/// Names the slots for whoever reads the counters; packets never look here.
#[btf_map]
static INTERFACES: Array<InterfaceName, { SLOTS as usize }> = Array::new();

/// The slot of the interface that this instance of the program serves, set when it is loaded.
#[unsafe(no_mangle)]
static SLOT: Global<u32> = Global::new(0);

const NANOS: u64 = 1_000_000_000;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The policy's questions, answered from the maps.
pub(crate) struct Facts<'a> {
    ctx: &'a XdpContext,
    second_set: bool,
    pub(crate) mode: Mode,
}

impl<'a> Facts<'a> {
    /// The facts as the settings have them now. Settings that cannot be read (an array's only value
    /// always can) enforce.
    #[inline(always)]
    pub(crate) fn read(ctx: &'a XdpContext) -> Self {
        let settings = SETTINGS.get(0).copied().unwrap_or(Settings { mode: 0, generation: 0 });
        Self { ctx, second_set: settings.second_set(), mode: settings.mode() }
    }
}

impl aop_common::Facts for Facts<'_> {
    #[inline(always)]
    fn guarded(&self, port: u16) -> bool {
        GUARDED.get(0).is_some_and(|ports| ports.contains(port))
    }

    #[inline(always)]
    fn standing(&self, source: Address) -> Standing {
        let prefix = match (source, self.second_set) {
            (Address::V4(address), false) => PREFIXES_V4_A.get(&Key::new(32, address)),
            (Address::V4(address), true) => PREFIXES_V4_B.get(&Key::new(32, address)),
            (Address::V6(address), false) => PREFIXES_V6_A.get(&Key::new(128, address)),
            (Address::V6(address), true) => PREFIXES_V6_B.get(&Key::new(128, address)),
        };
        prefix.map_or(Standing::Unknown, |prefix| prefix.standing(now))
    }

    #[inline(always)]
    fn authenticated(&self, source: Address) -> bool {
        // SAFETY: the value is not read, so it does not matter if its slot is reused meanwhile.
        unsafe { PEERS.get(PeerKey::new(source)) }.is_some()
    }

    /// Asks the kernel's routing tables, so that addresses which come and go are always right. The
    /// helper answers "not forwarded" for local destinations and refuses where forwarding is off;
    /// only a route out of the host means transit.
    #[inline(always)]
    fn transit(&self, flow: Flow) -> bool {
        let mut question = Question { words: [const { MaybeUninit::uninit() }; 8] };
        zero(&mut question);
        // SAFETY: the parameters are integers and byte arrays, for which zeros are valid.
        let route = unsafe { &mut question.lookup };
        route.ifindex = self.ctx.ingress_ifindex() as u32;
        match (flow.source, flow.destination) {
            (Address::V4(source), Address::V4(destination)) => {
                route.family = AF_INET;
                route.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(source);
                route.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(destination);
            }
            (Address::V6(source), Address::V6(destination)) => {
                route.family = AF_INET6;
                route.__bindgen_anon_3.ipv6_src = words(source);
                route.__bindgen_anon_4.ipv6_dst = words(destination);
            }
            (Address::V4(_), Address::V6(_)) | (Address::V6(_), Address::V4(_)) => return false,
        }
        // SAFETY: the context is the kernel's own, and the parameters live on this stack with
        // their true size.
        let answer = unsafe {
            bpf_fib_lookup(self.ctx.ctx.cast(), &raw mut *route, size_of::<FibLookup>() as i32, 0)
        };
        [BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_FRAG_NEEDED]
            .contains(&(answer as u32))
    }

    #[inline(always)]
    fn judged(&self, flow: Flow, port: Option<u16>, verdict: Verdict) {
        log::verdict(self.ctx, flow.source, port, verdict, verdict.action(self.mode));
    }
}

/// The routing helper's parameters.
union Question {
    lookup: FibLookup,
    words: [MaybeUninit<u64>; 8],
}

const _: () = assert!(size_of::<FibLookup>() == 64);

/// Zeroes by words: the compiler would call a memset that loops over bytes, for 50 ns a packet.
#[inline(always)]
fn zero(question: &mut Question) {
    // SAFETY: the words are valid in any state.
    for word in unsafe { &mut question.words } {
        // SAFETY: a store to a live, aligned word.
        unsafe { ptr::write_volatile(word, MaybeUninit::new(0)) };
    }
}

/// Moves the one counter that this packet moves.
#[inline(always)]
pub(crate) fn count(tally: Tally, bytes: u64) {
    let index = SLOT.load() * Tally::COUNT + tally.index();
    if let Some(counter) = VERDICTS.get_ptr_mut(index) {
        // SAFETY: the pointer is to this CPU's value, which no other program run shares while this
        // one is not preempted by another packet on the same CPU.
        let counter = unsafe { &mut *counter };
        counter.packets += 1;
        counter.bytes += bytes;
    }
}

/// Seconds of the monotonic clock.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and returns a number.
    let nanos = unsafe { bpf_ktime_get_coarse_ns() };
    nanos / NANOS
}

/// An IPv6 address as the kernel's four words, in network order.
#[inline(always)]
fn words(address: [u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes)
}
