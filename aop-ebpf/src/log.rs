//! Diagnostics of the packet path: aya-log, over a BTF ring buffer.
//!
//! aya-log-ebpf declares its ring buffer in the legacy `maps` section, which libbpf 1.0 and bpftool
//! refuse to load. This module therefore replaces that crate: it offers the same names to the
//! macros of aya-log, over a map of its own. While the level is off, the verifier sees a constant
//! comparison and removes the branch.

use aop_common::{Action, Address, Verdict};
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf_macros::debug;

/// The macros of aya-log-ebpf-macros 0.2 expect this name.
pub mod macro_support {
    use aya_ebpf::{Global, btf_maps::RingBuf, macros::btf_map};
    pub use aya_log_common::{
        Argument, DefaultFormatter, DisplayHint, Field, Header, IpFormatter, Level, LogValueLength,
    };

    /// The ring buffer that `aya_log::EbpfLogger` reads.
    #[btf_map]
    pub static AYA_LOGS: RingBuf<(), { 1 << 17 }> = RingBuf::new();

    /// The highest level that is logged; 0 is off. The loader sets it.
    #[allow(unsafe_code, reason = "the loader finds it by its name")]
    #[unsafe(no_mangle)]
    static AYA_LOG_LEVEL: Global<u8> = Global::new(0);

    /// Whether `level` is logged.
    #[inline(always)]
    pub fn level_enabled(level: Level) -> bool {
        level as u8 <= AYA_LOG_LEVEL.load()
    }
}

/// Logs one verdict, at debug.
#[inline(always)]
pub(crate) fn verdict(
    ctx: &XdpContext,
    source: Address,
    port: Option<u16>,
    verdict: Verdict,
    action: impl FnOnce() -> Action,
) {
    if !macro_support::level_enabled(macro_support::Level::Debug) {
        return;
    }
    let (reason, action) = (verdict.reason(), action().name());
    let line = Line { reason, action, port: port.unwrap_or(0) };
    match source {
        Address::V4(source) => v4(ctx, &line, &source),
        Address::V6(source) => v6(ctx, &line, &source),
    }
}

struct Line<'a> {
    reason: &'a str,
    action: &'a str,
    port: u16,
}

// Functions of their own, because they need much of the stack.

#[inline(never)]
fn v4(ctx: &XdpContext, line: &Line<'_>, source: &[u8; 4]) {
    debug!(ctx, "{} {} {:i} port {}", line.action, line.reason, *source, line.port);
}

#[inline(never)]
fn v6(ctx: &XdpContext, line: &Line<'_>, source: &[u8; 16]) {
    debug!(ctx, "{} {} {:i} port {}", line.action, line.reason, *source, line.port);
}
