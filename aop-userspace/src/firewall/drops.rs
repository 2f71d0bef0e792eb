//! Sampled drops, as the packet path tells them.

use std::{net::IpAddr, path::Path};

use aop_common::{Bytes, Flow, Segment, Tally, layout::DropEvent};
use aya::maps::{Map, MapData, RingBuf};

use super::{chain, error::FirewallError, maps::Maps, pins::Pins};

/// The sampled drops from now on. Sampling ends when this is dropped.
pub struct Drops {
    events: RingBuf<MapData>,
    maps: Maps,
    slots: Vec<Option<String>>,
    lost_before: u64,
}

/// A dropped packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The interface that it came in on.
    pub interface: String,
    /// `drop`, or `would_drop` where the mode is observe.
    pub action: &'static str,
    /// The reason's stable name.
    pub reason: &'static str,
    /// Where it came from, where that can be known.
    pub source: Option<IpAddr>,
    /// Where it went.
    pub destination: Option<IpAddr>,
    /// The port, where that can be known.
    pub port: Option<u16>,
    /// Bytes of the whole frame.
    pub length: u32,
    /// Its headers by name, the outermost first.
    pub headers: Vec<String>,
}

impl Drops {
    /// Follows the drops: of each reason one in `every`, rounded up to a power of two.
    ///
    /// # Errors
    /// No firewall is loaded, or its pins cannot be used.
    pub fn follow(pins: &Path, every: u32) -> Result<Self, FirewallError> {
        let pins = Pins::existing(pins)?.ok_or(FirewallError::Unloaded)?;
        let maps = Maps::pinned(&pins)?;
        Self::read(&pins, maps, every)
    }

    /// The same, where nobody else follows them: two readers would take them from each other. `None`
    /// where somebody does, or was killed while he did.
    ///
    /// # Errors
    /// As [`Drops::follow`].
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
        // What an earlier reader has left is not news.
        while drops.events.next().is_some() {}
        Ok(drops)
    }

    /// Whether drops are still sampled for this one: another reader that has ended ends that.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn goes_on(&self) -> Result<bool, FirewallError> {
        Ok(self.maps.sampling()? > 0)
    }

    /// The next one that has been told, if there is one.
    pub fn take(&mut self) -> Option<Drop> {
        loop {
            let event = read(&self.events.next()?);
            if let Some(drop) = event.and_then(|event| self.told(&event)) {
                return Some(drop);
            }
        }
    }

    /// How many sampled drops have been lost since the following began: they came faster than they
    /// were read. The counters have them all.
    ///
    /// # Errors
    /// The kernel refuses to read.
    pub fn lost(&self) -> Result<u64, FirewallError> {
        Ok(self.maps.lost()?.saturating_sub(self.lost_before))
    }

    fn told(&self, event: &DropEvent) -> Option<Drop> {
        let (_, verdict, mode) = Tally::all().find(|(tally, ..)| tally.index() == event.tally)?;
        let frame = event.frame.get(..event.snapped as usize)?;
        let segment = Segment::read(&Bytes(frame));
        let flow = segment.flow();
        Some(Drop {
            interface: self.slots.get(event.slot as usize)?.clone().unwrap_or_default(),
            action: verdict.action(mode).name(),
            reason: verdict.reason(),
            source: flow.map(|Flow { source, .. }| source.into()),
            destination: flow.map(|Flow { destination, .. }| destination.into()),
            port: segment.port(),
            length: event.length,
            headers: chain::headers(&Bytes(frame)),
        })
    }
}

impl std::ops::Drop for Drops {
    fn drop(&mut self) {
        if let Err(error) = self.maps.sample(0) {
            tracing::warn!("drops are sampled on: {error}");
        }
    }
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
