//! The packet program in this binary, and how it is loaded.

use std::{borrow::Cow, path::PathBuf};

use aya::{Ebpf, EbpfLoader, include_bytes_aligned, programs::Xdp};

use super::{
    PacketLog,
    error::FirewallError,
    maps::{self, LAYOUT},
    pins::Pins,
};

/// Empty where aop was built without the program: see `build.rs`.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/aop.o"));

/// The program's name in the object and in the kernel.
pub(super) const PROGRAM: &str = "aop";

/// Loads the program for the interface of `slot`, with the pinned maps.
pub(super) fn load(slot: u32, log: PacketLog, pins: &Pins) -> Result<Ebpf, FirewallError> {
    let mut ebpf = open(slot, log, |name| Some(pins.map(name)))?;
    verify(&mut ebpf)?;
    Ok(ebpf)
}

/// Loads the program with maps of its own.
pub(super) fn load_unpinned(slot: u32, log: PacketLog) -> Result<Ebpf, FirewallError> {
    let mut ebpf = open(slot, log, |_| None)?;
    verify(&mut ebpf)?;
    Ok(ebpf)
}

/// Maps that packets write. An instance that only observes has its own, so that its frames do not
/// change the live ones.
const WRITTEN_BY_PACKETS: [&str; 9] = [
    "PROBATION_HINTS",
    "BUDGETS",
    "HOST_BUDGET",
    "PROBATION",
    "STRANGERS",
    "SEEN_STRANGERS",
    "DROPS",
    "LOST",
    "VERDICTS",
];

/// Loads the program with the pinned maps, which must exist, as for the interface of `slot`; the
/// maps that packets write are its own.
pub(super) fn load_observer(slot: u32, pins: &Pins) -> Result<Ebpf, FirewallError> {
    maps::check_pinned(pins)?;
    let shared = |name: &str| !WRITTEN_BY_PACKETS.contains(&name);
    let mut ebpf = open(slot, PacketLog::Off, |name| shared(name).then(|| pins.map(name)))?;
    verify(&mut ebpf)?;
    Ok(ebpf)
}

/// Pins every map that is not pinned yet, and checks the shapes of the others.
pub(super) fn create_maps(pins: &Pins) -> Result<(), FirewallError> {
    maps::check_pinned(pins)?;
    open(0, PacketLog::Off, |name| Some(pins.map(name))).map(drop)
}

/// The XDP program in `ebpf`.
pub(super) fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, FirewallError> {
    let program = ebpf.program_mut(PROGRAM).ok_or(FirewallError::NoObject)?;
    program.try_into().map_err(|error| FirewallError::kernel("use its program", &error))
}

/// `pin` returns the pin of a map that is shared.
fn open(
    slot: u32,
    log: PacketLog,
    pin: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Ebpf, FirewallError> {
    if OBJECT.is_empty() {
        return Err(FirewallError::NoObject);
    }
    let level = match log {
        PacketLog::Off => 0u8,
        PacketLog::Debug => aya_log::Level::Debug as u8,
    };
    let mut loader = EbpfLoader::new();
    loader.override_global("SLOT", &slot, true).override_global(aya_log::LEVEL, &level, true);
    for shape in &LAYOUT {
        if let Some(path) = pin(shape.name) {
            loader.map_pin_path(shape.name, Cow::Owned(path));
        }
    }
    loader.load(OBJECT).map_err(|error| FirewallError::kernel("create the BPF maps", &error))
}

fn verify(ebpf: &mut Ebpf) -> Result<(), FirewallError> {
    xdp(ebpf)?.load().map_err(|error| FirewallError::kernel("load the packet program", &error))
}
