//! The packet policy: who may reach a guarded port.

use crate::{
    Address, DropReason, Flow, Frame, PassReason, Verdict, ethernet, ipv4, ipv6,
    segment::{Stop, Version},
    tcp::Header,
};

/// How a source address stands with the prefix set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its longest matching prefix is admitted.
    Admitted,
    /// Its longest matching prefix has left the list, lately enough that peers who have
    /// authenticated from it are still let in.
    Draining,
    /// No prefix matches, or none that still counts.
    Unknown,
}

/// What the policy asks about the world.
pub trait Facts {
    /// Whether the firewall covers this TCP port.
    fn guarded(&self, port: u16) -> bool;
    /// How the longest matching prefix places this source.
    fn standing(&self, source: Address) -> Standing;
    /// Whether this source has completed an authenticated handshake.
    fn authenticated(&self, source: Address) -> bool;
    /// Whether the host would only forward a packet of this flow. When in doubt: no.
    fn transit(&self, flow: Flow) -> bool;
    /// Told what becomes of a packet that may be for a guarded port, `None` where the port cannot
    /// be known. For diagnostics; it changes nothing.
    #[inline(always)]
    fn judged(&self, _flow: Flow, _port: Option<u16>, _verdict: Verdict) {}
}

/// Decides about one frame. Asks for facts in order of their cost, and for none that the packet
/// does not need.
///
/// An admitted source is let through in every shape that hides no other source, for the kernel to
/// judge; any other source only where the packet cannot be for a guarded port of this host.
#[inline(always)]
pub fn judge(frame: &impl Frame, facts: &impl Facts) -> Verdict {
    // One copy of the rest for each family: the kernel's verifier refuses an address in registers
    // that may be either.
    match ethernet::read(frame) {
        Ok((Version::V4, at)) => judge_tcp(ipv4::read(frame, at), || ipv4::flow(frame, at), facts),
        Ok((Version::V6, at)) => judge_tcp(ipv6::read(frame, at), || ipv6::flow(frame, at), facts),
        Err(Stop::Other) => Verdict::Pass(PassReason::NotGuarded),
        Err(Stop::Undecidable(why) | Stop::Unfit(why)) => Verdict::Drop(why),
    }
}

/// `flow` is read only for packets that may be for a guarded port: most never need it.
#[inline(always)]
fn judge_tcp(
    header: Result<Header, Stop>,
    flow: impl FnOnce() -> Option<Flow>,
    facts: &impl Facts,
) -> Verdict {
    let mut fit = true;
    let (port, otherwise) = match header {
        Ok(header) if !facts.guarded(header.port) => return Verdict::Pass(PassReason::NotGuarded),
        Ok(Header { port, sound: true }) => (Some(port), DropReason::UnknownSource),
        Ok(Header { port, sound: false }) => (Some(port), DropReason::Malformed),
        Err(Stop::Undecidable(why)) => (None, why),
        Err(Stop::Unfit(why)) => {
            fit = false;
            (None, why)
        }
        Err(Stop::Other) => return Verdict::Pass(PassReason::NotGuarded),
    };
    let Some(flow) = flow() else { return Verdict::Drop(DropReason::Malformed) };
    let admitted = if fit { admitted(flow, facts) } else { None };
    let verdict = match admitted.or_else(|| facts.transit(flow).then_some(PassReason::Transit)) {
        Some(reason) => Verdict::Pass(reason),
        None => Verdict::Drop(otherwise),
    };
    facts.judged(flow, port, verdict);
    verdict
}

/// What speaks for the source of `flow`, if anything does.
#[inline(always)]
fn admitted(flow: Flow, facts: &impl Facts) -> Option<PassReason> {
    match facts.standing(flow.source) {
        Standing::Admitted => Some(PassReason::Admitted),
        Standing::Draining if facts.authenticated(flow.source) => Some(PassReason::Proven),
        Standing::Draining | Standing::Unknown => None,
    }
}
