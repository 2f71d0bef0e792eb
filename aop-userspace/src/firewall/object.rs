//! The packet program that this binary carries, and how it is loaded.

use std::borrow::Cow;

use aya::{Ebpf, EbpfLoader, include_bytes_aligned, programs::Xdp};

use super::{
    PacketLog,
    error::FirewallError,
    maps::{self, LAYOUT},
    pins::Pins,
};

/// Empty where aop was built without it: see `build.rs`.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/aop.o"));

/// The program's name in the object, and what the kernel calls it.
pub(super) const PROGRAM: &str = "aop";

/// Loads an instance of the program for the interface of `slot`, over the pinned maps.
pub(super) fn load(slot: u32, log: PacketLog, pins: &Pins) -> Result<Ebpf, FirewallError> {
    let mut ebpf = open(slot, log, Some(pins))?;
    verify(&mut ebpf)?;
    Ok(ebpf)
}

/// Loads an instance with maps of its own.
pub(super) fn load_unpinned(slot: u32, log: PacketLog) -> Result<Ebpf, FirewallError> {
    let mut ebpf = open(slot, log, None)?;
    verify(&mut ebpf)?;
    Ok(ebpf)
}

/// Pins every map that is not pinned yet, and compares the others with what they should be.
pub(super) fn create_maps(pins: &Pins) -> Result<(), FirewallError> {
    maps::check_pinned(pins)?;
    open(0, PacketLog::Off, Some(pins)).map(drop)
}

/// The XDP program in `ebpf`.
pub(super) fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, FirewallError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(FirewallError::NoObject)?;
    program.try_into().map_err(|error| FirewallError::kernel("use its program", &error))
}

fn open(slot: u32, log: PacketLog, pins: Option<&Pins>) -> Result<Ebpf, FirewallError> {
    if OBJECT.is_empty() {
        return Err(FirewallError::NoObject);
    }
    let level = match log {
        PacketLog::Off => 0u8,
        PacketLog::Debug => aya_log::Level::Debug as u8,
    };
    let mut loader = EbpfLoader::new();
    loader.override_global("SLOT", &slot, true).override_global(aya_log::LEVEL, &level, true);
    if let Some(pins) = pins {
        for shape in &LAYOUT {
            loader.map_pin_path(shape.name, Cow::Owned(pins.map(shape.name)));
        }
    }
    loader.load(OBJECT).map_err(|error| FirewallError::kernel("create the BPF maps", &error))
}

fn verify(ebpf: &mut Ebpf) -> Result<(), FirewallError> {
    xdp(ebpf)?.load().map_err(|error| FirewallError::kernel("load the packet program", &error))
}
