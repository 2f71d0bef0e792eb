//! aop's XDP program: reads a frame, asks the policy, moves one counter, carries out the verdict.
//!
//! It decides nothing: the policy is `aop_common::decide`. It never writes the peers map.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![allow(missing_docs, reason = "a binary; the entry point's docs do not survive its macro")]

mod events;
mod frame;
#[macro_use]
mod log;
mod maps;
mod pinned;
mod strangers;
mod unpinned;

// The macros of aya-log name the crate they expect to come from; see `log`.
extern crate self as aya_log_ebpf;
pub use log::macro_support;

use aop_common::{Action, Decision, Mode, Tally, Verdict, decide};
use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    macros::xdp,
    programs::XdpContext,
};
use frame::Packet;
use maps::MapFacts;

/// The program's only entry. `frags` lets it serve interfaces whose frames span several buffers.
#[xdp(frags)]
fn aop(ctx: XdpContext) -> u32 {
    let (packet, facts) = (Packet::of(&ctx), MapFacts::new(&ctx));
    // The length comes first: behind a call of the kernel, the compiler reads these words again.
    let length = packet.len();
    let Decision { verdict, port } = decide(&packet, &facts);
    let mode = match verdict {
        Verdict::Pass(_) => Mode::Enforce,
        Verdict::Drop(_) => facts.mode(port),
    };
    let tally = Tally::of(verdict, mode);
    let counted = maps::count(tally, length);
    let action = verdict.action(mode);
    if action != Action::Pass {
        let stands_for = events::examined(counted);
        if let Some(drops) = stands_for {
            events::sample(&packet, tally, length, counted, drops);
        }
        if stands_for.is_some() || mode == Mode::Observe {
            strangers::record(&facts, mode, tally);
        }
    }
    match action {
        Action::Pass | Action::WouldDrop => XDP_PASS,
        Action::Drop => XDP_DROP,
    }
}

#[allow(unsafe_code, reason = "the section's name is what the kernel looks for")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// For other targets it is checked, so that editors can read it, and never built.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
