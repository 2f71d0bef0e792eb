//! The facts that the policy reads from the maps, and what it writes there.
#![allow(unsafe_code, reason = "map values and helpers are reached through raw pointers")]

use core::{cell::Cell, mem::MaybeUninit, ptr};

use aop_common::{
    Address, Flow, Mode, Standing, Tally, TcpStep, Trust, Verdict,
    bucket::{self, Bucket},
    layout::{PeerKey, PrefixSet, Settings, StrangerKey, hint, quarters, turn},
    prefix_table::{self, TableLookup},
};
use aya_ebpf::{
    Global,
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS,
        bpf_fib_lookup as FibLookup,
    },
    btf_maps::lpm_trie::Key,
    helpers::{bpf_fib_lookup, bpf_jiffies64, bpf_ktime_get_coarse_ns},
    programs::XdpContext,
};

use crate::{
    log,
    pinned::{
        BUDGETS, GUARDED, HOST_BUDGET, LOCALS, MODES, NETWORKS, PEERS, PEERS_HINTS, PREFIXES_V4_A,
        PREFIXES_V4_B, PREFIXES_V6_A, PREFIXES_V6_B, PROBATION, PROBATION_HINTS, SEEN_STRANGERS,
        SETTINGS, STRANGERS, TABLE, VERDICTS,
    },
    unpinned::{AtTick, CLOCK, RECORDED},
};

/// The slot of the interface that this instance of the program serves. The loader sets it.
#[unsafe(no_mangle)]
static SLOT: Global<u32> = Global::new(0);

const NANOS_IN_MILLI: u64 = 1_000_000;
/// How long a stranger may take to authenticate: longer than any ordinary handshake.
const PROBATION_SECONDS: u64 = 30;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The policy's questions, answered from the maps.
pub(crate) struct MapFacts<'a> {
    ctx: &'a XdpContext,
    /// The settings, once they were read: one generation of the policy judges a packet.
    settings: Cell<Option<Settings>>,
    /// The source, if it is the reason for a drop, and its step. On the stack: the verifier refuses
    /// an address in registers that may be of either family.
    stranger: Cell<StrangerKey>,
    step: Cell<TcpStep>,
}

impl<'a> MapFacts<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self {
            ctx,
            settings: Cell::new(None),
            stranger: Cell::new(StrangerKey::NONE),
            step: Cell::new(TcpStep::Other),
        }
    }

    /// The active settings. Without them, no set would admit anybody.
    #[inline(always)]
    fn settings(&self) -> Settings {
        self.settings.get().unwrap_or_else(|| {
            let settings = SETTINGS.get(0).copied().unwrap_or_default();
            self.settings.set(Some(settings));
            settings
        })
    }

    /// The mode of a drop for `port` on the interface of this instance.
    #[inline(always)]
    pub(crate) fn mode(&self, port: Option<u16>) -> Mode {
        MODES
            .get(self.settings().active_set().index())
            .map_or(Mode::Enforce, |modes| modes.mode(slot(), port))
    }

    /// The stranger that sent the packet, if it is dropped because of its source.
    #[inline(always)]
    pub(crate) fn stranger(&self) -> Option<(StrangerKey, TcpStep)> {
        let key = self.stranger.get();
        if key.family == 0 { None } else { Some((key, self.step.get())) }
    }
}

impl aop_common::Facts for MapFacts<'_> {
    #[inline(always)]
    fn guarded(&self, port: u16) -> bool {
        GUARDED.get(0).is_some_and(|ports| ports.contains(port))
    }

    #[inline(always)]
    fn standing(&self, source: Address) -> Standing {
        let set = self.settings().active_set();
        match prefix_table::look_up(set, source, entry) {
            TableLookup::Admitted => return Standing::Admitted,
            TableLookup::Unknown => return Standing::Unknown,
            TableLookup::AskTrie => {}
        }
        let prefix = match source {
            Address::V4(address) => {
                let key = Key::new(32, u32::from_ne_bytes(address));
                match set {
                    PrefixSet::A => PREFIXES_V4_A.get(&key),
                    PrefixSet::B => PREFIXES_V4_B.get(&key),
                }
            }
            Address::V6(address) => {
                let key = Key::new(128, quarters(address));
                match set {
                    PrefixSet::A => PREFIXES_V6_A.get(&key),
                    PrefixSet::B => PREFIXES_V6_B.get(&key),
                }
            }
        };
        prefix.map_or(Standing::Unknown, |prefix| prefix.standing(|| millis() / 1000))
    }

    #[inline(always)]
    fn authenticated(&self, source: Address) -> bool {
        // SAFETY: the value is not read, so the kernel may reuse its place meanwhile.
        unsafe { PEERS.get(PeerKey::new(source)) }.is_some()
    }

    /// Asks the routing tables of the kernel about destinations that are not known to be this
    /// host's. The helper answers "not forwarded" for local destinations and refuses where
    /// forwarding is off. Only a route out of the host means transit.
    #[inline(always)]
    fn transit(&self, flow: Flow) -> bool {
        if LOCALS.get(0).is_some_and(|locals| locals.contains(flow.destination)) {
            return false;
        }
        let mut query = RouteQuery { words: [const { MaybeUninit::uninit() }; 8] };
        zero(&mut query);
        // SAFETY: the parameters are integers and byte arrays, and zeros are valid for them.
        let route = unsafe { &mut query.lookup };
        route.ifindex = self.ctx.ingress_ifindex() as u32;
        match (flow.source, flow.destination) {
            (Address::V4(source), Address::V4(destination)) => {
                route.family = AF_INET;
                route.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(source);
                route.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(destination);
            }
            (Address::V6(source), Address::V6(destination)) => {
                route.family = AF_INET6;
                route.__bindgen_anon_3.ipv6_src = quarters(source);
                route.__bindgen_anon_4.ipv6_dst = quarters(destination);
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
    fn drops_udp(&self) -> bool {
        self.settings().drops_udp()
    }

    #[inline(always)]
    fn over_budget(&self, source: Address) -> bool {
        let rate = self.settings().budget;
        rate != 0 && !self.authenticated(source) && is_spent(PeerKey::network(source), rate)
    }

    #[inline(always)]
    fn trust(&self, source: Address, step: TcpStep) -> Trust {
        let rate = self.settings().probation;
        if rate == 0 { Trust::None } else { trust_in_stranger(source, step, rate) }
    }

    #[inline(always)]
    fn judged(&self, flow: Flow, port: Option<u16>, step: TcpStep, verdict: Verdict) {
        log::verdict(self.ctx, flow.source, port, verdict, || verdict.action(self.mode(port)));
        if let Verdict::Drop(reason) = verdict
            && reason.is_of_source()
        {
            self.stranger.set(StrangerKey::new(flow.source, port));
            self.step.set(step);
        }
    }
}

/// An entry of the table.
#[inline(always)]
fn entry(block: u32, byte: u8) -> Option<u16> {
    TABLE.get(block)?.0.get(usize::from(byte)).copied()
}

/// The routing helper's parameters.
union RouteQuery {
    lookup: FibLookup,
    words: [MaybeUninit<u64>; 8],
}

const _: () = assert!(size_of::<FibLookup>() == 64);

/// Zeroes by words. The compiler would call a memset that loops over bytes, which takes 50 ns a
/// packet.
#[inline(always)]
fn zero(query: &mut RouteQuery) {
    // SAFETY: the words are valid in any state.
    for word in unsafe { &mut query.words } {
        // SAFETY: a store to a live, aligned word.
        unsafe { ptr::write_volatile(word, MaybeUninit::new(0)) };
    }
}

/// The slot of the interface of this instance.
#[inline(always)]
pub(crate) fn slot() -> u32 {
    SLOT.load()
}

/// Moves the one counter that this packet moves. Returns how many packets it has counted on this
/// CPU.
#[inline(always)]
pub(crate) fn count(tally: Tally, bytes: u64) -> u64 {
    let index = slot() * Tally::COUNT + tally.index();
    let Some(counter) = of_this_cpu(VERDICTS.get_ptr_mut(index)) else { return 0 };
    counter.packets += 1;
    counter.bytes += bytes;
    counter.packets
}

/// The value of a per-CPU map.
#[inline(always)]
pub(crate) fn of_this_cpu<'a, T>(value: Option<*mut T>) -> Option<&'a mut T> {
    // SAFETY: the pointer is to the value of this CPU, which stays valid while the program runs. No
    // other run of the program shares it, as long as no other packet preempts this one on the same
    // CPU; and each is asked for once at a time.
    value.map(|value| unsafe { &mut *value })
}

/// The kernel's tick. The verifier makes one load of it.
#[inline(always)]
pub(crate) fn tick() -> u64 {
    // SAFETY: the helper takes nothing and returns a number.
    unsafe { bpf_jiffies64() }
}

/// Whether no stranger of this one's place was recorded in this tick. Then this one is. Two CPUs at
/// once may both get the turn.
#[inline(always)]
pub(crate) fn takes_turn(stranger: StrangerKey) -> bool {
    let now = tick();
    let Some(recorded) = RECORDED.get_ptr_mut(turn(stranger)) else { return false };
    // SAFETY: the value stays valid while the program runs. Other CPUs may write to it too.
    if unsafe { *recorded } == now {
        return false;
    }
    // SAFETY: as above.
    unsafe { *recorded = now };
    true
}

/// Counts one more packet of a stranger that has an entry. Two packets at once on two CPUs may
/// count as one.
#[inline(always)]
pub(crate) fn count_stranger(key: StrangerKey, step: TcpStep, tally: Tally) -> bool {
    let Some(known) = SEEN_STRANGERS.get_ptr_mut(key) else { return false };
    // SAFETY: the value stays valid while the program runs. Other CPUs may write to it too.
    let next = unsafe { *known }.and(millis(), step, tally);
    // SAFETY: as above.
    unsafe { *known = next };
    true
}

// The functions below are for optional rules and seldom run. Some are not inlined, so that the
// common way through the program stays short.

/// Whether `network`, or all networks together, have nothing left for another connection, and no
/// peer in it has authenticated recently. Takes from both budgets. Two packets at once on two CPUs
/// may take the same attempt: a budget is a bound, not an exact account.
#[inline(never)]
fn is_spent(network: PeerKey, rate: u32) -> bool {
    let now = millis();
    // SAFETY: the value is copied at once. If the kernel reuses its place meanwhile, one packet
    // sees a wrong time.
    if let Some(until) = unsafe { NETWORKS.get(network) }.copied()
        && now / 1000 < until
    {
        return false;
    }
    let Some(bucket) = BUDGETS.get_ptr_mut(network) else {
        let (bucket, taken) = Bucket::full(now, rate).take(now, rate);
        // Where the map has no room for the network, the network has no budget: fail closed.
        let stored = BUDGETS.insert(network, bucket, 0).is_ok();
        return !(stored && taken && take(HOST_BUDGET.get_ptr_mut(0), now, bucket::of_host(rate)));
    };
    !(take(Some(bucket), now, rate) && take(HOST_BUDGET.get_ptr_mut(0), now, bucket::of_host(rate)))
}

/// Takes an attempt from the budget in a map, if one is left.
#[inline(always)]
fn take(bucket: Option<*mut Bucket>, now: u64, rate: u32) -> bool {
    let Some(bucket) = bucket else { return false };
    // SAFETY: the value stays valid while the program runs. Other CPUs may write to it too; then
    // two get one attempt.
    let (left, taken) = unsafe { *bucket }.take(now, rate);
    // SAFETY: as above.
    unsafe { *bucket = left };
    taken
}

/// Whether a stranger may pass. If it opens a connection and a try is left, it gets the try.
#[inline(always)]
fn trust_in_stranger(source: Address, step: TcpStep, rate: u32) -> Trust {
    let now = millis();
    let hint = hint(source);
    let hinted = |hints: Option<&u32>| hints.is_some_and(|until| now / 1000 < u64::from(*until));
    if hinted(PEERS_HINTS.get(hint)) && is_trusted(PeerKey::new(source), now / 1000) {
        return Trust::Authenticated;
    }
    if hinted(PROBATION_HINTS.get(hint)) && is_on_probation(PeerKey::new(source), now / 1000) {
        return Trust::Probation;
    }
    if step != TcpStep::Opens || !take(STRANGERS.get_ptr_mut(0), now, rate) {
        return Trust::None;
    }
    let until = now / 1000 + PROBATION_SECONDS;
    if put_on_probation(PeerKey::new(source), hint, until) { Trust::Probation } else { Trust::None }
}

#[inline(never)]
fn is_trusted(source: PeerKey, now: u64) -> bool {
    // SAFETY: the value is copied at once.
    let peer = unsafe { PEERS.get(source) }.copied();
    peer.is_some_and(|peer| now < peer.trusted_until)
}

#[inline(never)]
fn is_on_probation(source: PeerKey, now: u64) -> bool {
    // SAFETY: the value is copied at once.
    let until = unsafe { PROBATION.get(source) }.copied();
    until.is_some_and(|until| now < until)
}

#[inline(never)]
fn put_on_probation(source: PeerKey, hint: u32, until: u64) -> bool {
    if let Some(hint) = PROBATION_HINTS.get_ptr_mut(hint) {
        // SAFETY: a store of one word. Times only grow, so the last store is right.
        unsafe { *hint = until as u32 };
    }
    PROBATION.insert(source, until, 0).is_ok()
}

/// Nanoseconds of the monotonic clock, a few milliseconds late.
#[inline(always)]
pub(crate) fn nanos() -> u64 {
    // SAFETY: the helper takes nothing and returns a number.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Milliseconds of the same clock.
#[inline(always)]
pub(crate) fn millis() -> u64 {
    let (tick, clock) = (tick(), of_this_cpu(CLOCK.get_ptr_mut(0)));
    let Some(clock) = clock else { return nanos() / NANOS_IN_MILLI };
    if clock.tick != tick {
        *clock = AtTick { tick, figure: nanos() / NANOS_IN_MILLI };
    }
    clock.figure
}
