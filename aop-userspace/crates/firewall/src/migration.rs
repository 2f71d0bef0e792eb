//! Takes over the pins of an older layout, while its programs judge packets.
//!
//! A map of the same shape is shared: it gets a second pin, the programs of both builds use it at
//! the same time, and nothing is copied. A map of another shape is made anew and filled from the
//! old one by a conversion; without a conversion the start is refused. Then the links move, and the
//! start goes on as over its own pins: it swaps the programs under the links. The old pins are
//! removed once no predecessor can take them back. If the start fails, the links move back.

#[cfg(feature = "next-layout")]
mod next_layout;

use aya::maps::MapData;

use super::{
    error::FirewallError,
    maps::{LAYOUT, MapShape},
    object,
    pins::Pins,
};

/// The pins that are taken over, until the older build has ended.
pub(super) struct Migration {
    pins: Pins,
    older: Option<Pins>,
    /// Whether this start has moved the links. Else an earlier one did, before it was interrupted:
    /// then the new maps are those in force.
    links: Links,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    Moved,
    AtTheirPlace,
}

impl Migration {
    /// Takes over the pins of `older`. If that fails, they are as before.
    pub(super) fn begin(pins: &Pins, older: Option<Pins>) -> Result<Self, FirewallError> {
        let mut migration = Self { pins: pins.clone(), older, links: Links::AtTheirPlace };
        match migration.carry() {
            Ok(()) => Ok(migration),
            Err(error) => {
                migration.undo();
                Err(error)
            }
        }
    }

    fn carry(&mut self) -> Result<(), FirewallError> {
        let (pins, Some(older)) = (&self.pins, &self.older) else { return Ok(()) };
        // Without its settings, an interrupted `finish` has begun to remove it.
        if !older.has_settings()? {
            return Ok(());
        }
        // The links move last: with a link, the maps are complete.
        let fresh = pins.links()?.is_empty();
        if fresh {
            self.links = Links::Moved;
            pins.remove_maps()?;
            carry_maps(older, pins)?;
        }
        older.move_links(pins)?;
        tracing::info!(from = older.layout(), to = pins.layout(), "took over the pinned maps");
        Ok(())
    }

    /// The start is complete, and no older build will take its pins back: they are removed.
    pub(super) fn finish(self) {
        let Some(older) = &self.older else { return };
        let finished = convert_after(older, &self.pins)
            .and_then(|()| older.remove_maps())
            .and_then(|()| older.remove());
        if let Err(error) = finished {
            tracing::warn!(
                "cannot remove the pins of an older aop, trying at the next start: {error}"
            );
        }
    }

    /// The start has failed: the older build finds its pins as they were.
    pub(super) fn undo(self) {
        let Some(older) = self.older.filter(|_| self.links == Links::Moved) else { return };
        if let Err(error) = give_back(&self.pins, &older) {
            tracing::error!("cannot give the pins back to an older aop: {error}");
        }
    }
}

/// Takes the links back that a build with a newer layout has moved, before it failed. Does nothing
/// where the older pins are gone: then the newer build was complete.
pub(super) fn take_back(pins: &Pins) -> Result<(), FirewallError> {
    if !pins.has_settings()? {
        return Ok(());
    }
    pins.newer()?.iter().try_for_each(|newer| give_back(newer, pins))
}

fn give_back(newer: &Pins, older: &Pins) -> Result<(), FirewallError> {
    newer.move_links(older)?;
    newer.remove_maps()?;
    newer.remove()
}

fn carry_maps(older: &Pins, pins: &Pins) -> Result<(), FirewallError> {
    let mut changed = Vec::new();
    for shape in &LAYOUT {
        match shape.pinned(older)? {
            Some(found) if found == *shape => share(shape, older, pins)?,
            Some(found) => changed.push((shape, found)),
            None => {}
        }
    }
    object::create_maps(pins)?;
    changed.into_iter().try_for_each(|(shape, found)| match conversion(shape.name) {
        Some(Conversion::Before(convert)) => convert(older, pins),
        Some(Conversion::After(_)) => Ok(()),
        None => Err(shape.refuse(older, found)),
    })
}

/// The conversions for which the programs must have been exchanged.
fn convert_after(older: &Pins, pins: &Pins) -> Result<(), FirewallError> {
    for shape in &LAYOUT {
        if let Some(found) = shape.pinned(older)?
            && found != *shape
            && let Some(Conversion::After(convert)) = conversion(shape.name)
        {
            convert(older, pins)?;
            // So that an interrupted start does not convert it again.
            older.remove_map(shape.name)?;
        }
    }
    Ok(())
}

fn share(shape: &MapShape, older: &Pins, pins: &Pins) -> Result<(), FirewallError> {
    let (from, to) = (older.map(shape.name), pins.map(shape.name));
    let map = MapData::from_pin(&from)
        .map_err(|error| FirewallError::kernel(format!("open {}", from.display()), &error))?;
    map.pin(&to).map_err(|error| FirewallError::kernel(format!("pin {}", to.display()), &error))
}

/// Fills a map from the one in an older layout: the older pins, and the new ones.
type Convert = fn(&Pins, &Pins) -> Result<(), FirewallError>;

/// When a map is filled.
#[cfg_attr(not(feature = "next-layout"), expect(dead_code, reason = "layout 6 needs none"))]
enum Conversion {
    /// Before the programs are exchanged: packets are judged by its content.
    Before(Convert),
    /// After that: the old programs would still change the old map.
    After(Convert),
}

/// The conversion for the map `name`, where its shape differs from that in the layout before.
/// Layouts 5 and 6 each added a map, and changed none.
#[cfg(not(feature = "next-layout"))]
fn conversion(_name: &str) -> Option<Conversion> {
    None
}

#[cfg(feature = "next-layout")]
use next_layout::conversion;
