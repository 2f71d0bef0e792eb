//! The maps that belong to one loaded program, and end with it.

use aop_common::layout::TURNS;
use aya_ebpf::{
    btf_maps::{Array, PerCpuArray},
    macros::btf_map,
};

/// Milliseconds of the clock at a tick. The clock moves with the tick, and reading the tick costs
/// nothing.
#[btf_map]
pub(crate) static CLOCK: PerCpuArray<AtTick, 1> = PerCpuArray::new();

/// The drops of this CPU in a tick.
#[btf_map]
pub(crate) static IN_TICK: PerCpuArray<DropsInTick, 1> = PerCpuArray::new();

/// The tick in which a stranger of each place was last recorded.
#[btf_map]
pub(crate) static RECORDED: Array<u64, TURNS> = Array::new();

/// A figure that holds for one tick of the kernel.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct AtTick {
    pub(crate) tick: u64,
    pub(crate) figure: u64,
}

/// Drops in one tick of the kernel.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct DropsInTick {
    pub(crate) tick: u64,
    pub(crate) drops: u64,
    /// Those of them that were reported.
    pub(crate) reported: u64,
}
