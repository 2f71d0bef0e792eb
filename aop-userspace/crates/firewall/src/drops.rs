//! Sampled drops, from the ring buffer of the packet program.

use std::{net::IpAddr, path::Path};

use aop_common::{Action, Bytes, Flow, Segment, Tally, layout::DropEvent};
use aya::maps::{Map, MapData, RingBuf};
use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::{error::FirewallError, header_names, maps::Maps, pins::Pins};

/// A reader of sampled drops. Dropping it ends the sampling.
pub struct DropReader {
    events: RingBuf<MapData>,
    maps: Maps,
    slots: Vec<Option<String>>,
    lost_before: u64,
}

/// A dropped packet. `aop drops --json` prints its serde form, so names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DroppedPacket {
    /// When it came, a few milliseconds late.
    pub at: Timestamp,
    /// The interface that received it.
    pub interface: String,
    /// Whether it was dropped, or passes only because the mode is observe.
    pub action: Action,
    /// The reason's stable name.
    pub reason: &'static str,
    /// The source, if it can be read.
    pub source: Option<IpAddr>,
    /// The destination, if it can be read.
    pub destination: Option<IpAddr>,
    /// The destination port, if it can be read.
    pub port: Option<u16>,
    /// Bytes of the whole frame.
    pub length: u32,
    /// The names of its headers, the outermost first; of fragments and broken frames, as far as
    /// they can be read.
    pub headers: Vec<String>,
    /// Whether it looks like the answer to a connection that this host, or a container behind it,
    /// has opened from the guarded port.
    pub answer: bool,
}

impl DropReader {
    /// Starts sampling: of each reason one drop in `every`, rounded up to a power of two.
    ///
    /// # Errors
    /// No firewall is loaded, or its pins cannot be used.
    pub fn follow(pins: &Path, every: u32) -> Result<Self, FirewallError> {
        let pins = Pins::existing(pins)?.ok_or(FirewallError::Unloaded)?;
        let maps = Maps::pinned(&pins)?;
        Self::read(&pins, maps, every)
    }

    /// The same, but only if no other reader exists: two would take events from each other. `None`
    /// if there is one, or if one was killed before it could end the sampling.
    ///
    /// # Errors
    /// As [`DropReader::follow`].
    pub fn follow_alone(pins: &Path, every: u32) -> Result<Option<Self>, FirewallError> {
        let pins = Pins::existing(pins)?.ok_or(FirewallError::Unloaded)?;
        let maps = Maps::pinned(&pins)?;
        match maps.sampling()? {
            0 => Self::read(&pins, maps, every).map(Some),
            _ => Ok(None),
        }
    }

    fn read(pins: &Pins, mut maps: Maps, every: u32) -> Result<Self, FirewallError> {
        let events = MapData::from_pin(pins.map("DROPS"))
            .and_then(Map::from_map_data)
            .and_then(RingBuf::try_from)
            .map_err(|error| FirewallError::kernel("open DROPS", &error))?;
        let slots = maps.slot_names()?;
        let lost_before = maps.lost()?;
        maps.sample(every.max(1).checked_next_power_of_two().unwrap_or(1 << 31))?;
        let mut drops = Self { events, maps, slots, lost_before };
        // Events from before this reader started.
        while drops.events.next().is_some() {}
        Ok(drops)
    }

    /// Whether drops are still sampled. Another reader ends the sampling for this one, too, when it
    /// ends.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn is_sampling(&self) -> Result<bool, FirewallError> {
        Ok(self.maps.sampling()? > 0)
    }

    /// The next event, if there is one.
    pub fn next_drop(&mut self) -> Option<DroppedPacket> {
        loop {
            let event = read(&self.events.next()?);
            if let Some(drop) = event.and_then(|event| self.decode(&event)) {
                return Some(drop);
            }
        }
    }

    /// How many sampled drops were lost since this reader started, because it did not keep up. The
    /// counters contain them all.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn lost(&self) -> Result<u64, FirewallError> {
        Ok(self.maps.lost()?.saturating_sub(self.lost_before))
    }

    fn decode(&self, event: &DropEvent) -> Option<DroppedPacket> {
        let (_, verdict, mode) = Tally::all().find(|(tally, ..)| tally.index() == event.tally)?;
        let frame = event.frame.get(..event.snapped as usize)?;
        let segment = Segment::read(&Bytes(frame));
        let flow = segment.flow();
        let headers = header_names::headers(&Bytes(frame));
        Some(DroppedPacket {
            at: wall_clock(event.at),
            interface: self.slots.get(event.slot as usize)?.clone().unwrap_or_default(),
            action: verdict.action(mode),
            reason: verdict.reason(),
            source: flow.map(|Flow { source, .. }| source.into()),
            destination: flow.map(|Flow { destination, .. }| destination.into()),
            port: segment.port(),
            length: event.length,
            answer: header_names::is_answer(&headers),
            headers,
        })
    }
}

impl Drop for DropReader {
    fn drop(&mut self) {
        if let Err(error) = self.maps.sample(0) {
            tracing::warn!("cannot end the sampling of drops: {error}");
        }
    }
}

/// The time of the wall clock at which the monotonic clock had `nanos`.
fn wall_clock(nanos: u64) -> Timestamp {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    let since =
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec) - i128::from(nanos);
    let since = SignedDuration::from_nanos(i64::try_from(since).unwrap_or_default());
    let now = Timestamp::now();
    now.checked_sub(since).unwrap_or(now)
}

fn read(bytes: &[u8]) -> Option<DropEvent> {
    let word = |at: usize| bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
    Some(DropEvent {
        at: u64::from_ne_bytes(*bytes.first_chunk()?),
        slot: word(8)?,
        tally: word(12)?,
        length: word(16)?,
        snapped: word(20)?,
        frame: *bytes.get(24..)?.first_chunk()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_a_drop_has_the_stable_name_of_its_action() {
        for action in [Action::Pass, Action::Drop, Action::WouldDrop] {
            let json = serde_json::to_value(action).unwrap();
            assert_eq!(json, action.name());
        }
    }
}
