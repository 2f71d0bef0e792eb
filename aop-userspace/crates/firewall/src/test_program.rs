//! Runs frames through the program in the kernel without an interface, and returns what it did.
//!
//! A test program has its own maps, and shares nothing with the firewall of the host; but see
//! [`DryRun`](super::DryRun).

use std::{net::IpAddr, time::Duration};

use aop_common::{
    Action, Tally,
    layout::{Counter, PeerValue},
};
use aop_types::monotonic_seconds;
use aya::{
    Ebpf,
    maps::RingBuf,
    programs::{TestRun, TestRunOptions},
};

use super::{
    FirewallPolicy, PacketLog, error::FirewallError, local_addresses, maps::Maps, object, peers,
    pins::Pins, strangers::StrangerReader,
};

/// XDP_DROP and XDP_PASS, from the kernel's bpf.h.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// A loaded program with maps of its own.
pub struct TestProgram {
    pub(super) ebpf: Ebpf,
    pub(super) maps: Maps,
    slot: u32,
}

/// The result of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameResult {
    /// The program's return value: pass or drop.
    pub action: Action,
    /// Every counter that moved, and by how much.
    pub moved: Vec<(Tally, Counter)>,
}

/// The result of several frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    /// The program's return value for each.
    pub actions: Vec<Action>,
    /// Every counter that moved, and by how much, for all frames together.
    pub moved: Vec<(Tally, Counter)>,
}

impl TestProgram {
    /// Loads the program with `policy`, the counter slot `slot`, and the current addresses of this
    /// host.
    ///
    /// # Errors
    /// As [`Firewall::start`](super::Firewall::start), without an interface.
    pub fn new(policy: &FirewallPolicy, slot: u32, log: PacketLog) -> Result<Self, FirewallError> {
        let mut ebpf = object::load_unpinned(slot, log)?;
        let mut maps = Maps::of(&mut ebpf)?;
        maps.apply(policy)?;
        maps.set_locals(local_addresses::choose(|_| true))?;
        Ok(Self { ebpf, maps, slot })
    }

    /// Loads the program as on `interface`, with the pinned maps except those that packets write. A
    /// write to any other map through this program would change the firewall of the host.
    pub(super) fn observing(pins: &Pins, interface: &str) -> Result<Self, FirewallError> {
        let slot = Maps::pinned(pins)?.known_slot(interface)?.unwrap_or_default();
        let mut ebpf = object::load_observer(slot, pins)?;
        let maps = Maps::of(&mut ebpf)?;
        Ok(Self { ebpf, maps, slot })
    }

    /// The slot in which it counts.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// The kernel's tag, a digest of the instructions. Equal programs have equal tags, whatever
    /// their maps and constants.
    pub(super) fn tag(&mut self) -> Result<u64, FirewallError> {
        let info = object::xdp(&mut self.ebpf)?.info();
        info.map(|info| info.tag())
            .map_err(|error| FirewallError::kernel("describe the packet program", &error))
    }

    /// Gives `interface` the next free slot with its own mode, as guarding it would. The counter
    /// slot of this program was set when it was loaded.
    ///
    /// # Errors
    /// No slot is free, or the kernel refuses a write.
    pub fn take_slot(&mut self, interface: &str) -> Result<u32, FirewallError> {
        self.maps.slot(interface)
    }

    /// Replaces the policy.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn apply(&mut self, policy: &FirewallPolicy) -> Result<(), FirewallError> {
        self.maps.apply(policy)
    }

    /// Records an authenticated peer.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn authenticate(&mut self, address: IpAddr) -> Result<(), FirewallError> {
        let until = monotonic_seconds() + 3600;
        let peer = PeerValue::seen(None, 0, "", until);
        let Maps { peers, peers_hints, .. } = &mut self.maps;
        peers
            .insert(peers::key(address), peer, 0)
            .and_then(|()| peers::hint_at(peers_hints, address, until))
            .map_err(|error| FirewallError::kernel("write PEERS", &error))
    }

    /// The reader of the strangers that it records. There is one.
    ///
    /// # Errors
    /// It was taken before.
    pub fn take_strangers(&mut self) -> Result<StrangerReader, FirewallError> {
        let map = self.ebpf.take_map("SEEN_STRANGERS").ok_or(FirewallError::NoObject)?;
        StrangerReader::of(map)
    }

    /// Starts sampling: of each reason one drop in `every`, a power of two.
    ///
    /// # Errors
    /// The kernel refuses to write.
    pub fn sample_drops(&mut self, every: u32) -> Result<(), FirewallError> {
        self.maps.sample(every)
    }

    /// The sampled drops that were reported since the last call, and all that were lost so far.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn sampled_drops(&mut self) -> Result<(u64, u64), FirewallError> {
        let map = self.ebpf.map_mut("DROPS").ok_or(FirewallError::NoObject)?;
        let mut events =
            RingBuf::try_from(map).map_err(|error| FirewallError::kernel("open DROPS", &error))?;
        let mut reported = 0;
        while events.next().is_some() {
            reported += 1;
        }
        Ok((reported, self.maps.lost()?))
    }

    /// How many instructions the verifier has walked.
    #[must_use]
    pub fn verified_instructions(&mut self) -> Option<u32> {
        object::xdp(&mut self.ebpf).ok()?.info().ok()?.verified_instruction_count()
    }

    /// Runs one frame (at least 14 bytes, the kernel's minimum) as if it had arrived on interface
    /// `ifindex`.
    ///
    /// # Errors
    /// The kernel refuses to run the frame.
    pub fn run(&mut self, frame: &[u8], ifindex: u32) -> Result<FrameResult, FirewallError> {
        let (action, moved) = self.counting(|it| Ok(it.repeat(frame, ifindex, 1)?.0))?;
        Ok(FrameResult { action, moved })
    }

    /// Runs frames one after the other, and reads the counters once before and after: reading takes
    /// most of the time.
    ///
    /// # Errors
    /// The kernel refuses to run a frame.
    pub fn run_batch<'a>(
        &mut self,
        frames: impl IntoIterator<Item = &'a [u8]>,
        ifindex: u32,
    ) -> Result<BatchResult, FirewallError> {
        let mut frames = frames.into_iter();
        let (actions, moved) = self.counting(|it| {
            frames.try_fold(Vec::new(), |mut actions, frame| {
                actions.push(it.repeat(frame, ifindex, 1)?.0);
                Ok(actions)
            })
        })?;
        Ok(BatchResult { actions, moved })
    }

    /// The result of `work`, and every counter that moved meanwhile.
    fn counting<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, FirewallError>,
    ) -> Result<(T, Vec<(Tally, Counter)>), FirewallError> {
        let before = self.maps.counters(self.slot)?;
        let answer = work(self)?;
        let after = self.maps.counters(self.slot)?;
        let moved = Tally::all().zip(before.iter().zip(&after)).filter(|(_, (a, b))| a != b);
        let by = |((tally, ..), (a, b)): ((Tally, _, _), (&Counter, &Counter))| {
            let packets = b.packets.wrapping_sub(a.packets);
            (tally, Counter { packets, bytes: b.bytes.wrapping_sub(a.bytes) })
        };
        Ok((answer, moved.map(by).collect()))
    }

    /// Runs one frame `times` times, and returns the mean duration of a run.
    ///
    /// # Errors
    /// The kernel refuses to run the frame, or the program returned neither pass nor drop.
    pub fn repeat(
        &mut self,
        frame: &[u8],
        ifindex: u32,
        times: u32,
    ) -> Result<(Action, Duration), FirewallError> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index,
        // egress_ifindex.
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let context: Vec<u8> = [0, length, 0, ifindex, 0, 0]
            .iter()
            .flat_map(|word: &u32| word.to_ne_bytes())
            .collect();
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            repeat: times,
            ..TestRunOptions::default()
        };
        let result = object::xdp(&mut self.ebpf)?
            .test_run(options)
            .map_err(|error| FirewallError::kernel("run a frame", &error))?;
        match result.return_value {
            XDP_PASS => Ok((Action::Pass, result.duration)),
            XDP_DROP => Ok((Action::Drop, result.duration)),
            other => Err(FirewallError::Kernel {
                doing: "carry out a verdict".to_owned(),
                detail: format!("the program returned {other}"),
            }),
        }
    }
}
