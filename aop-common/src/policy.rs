//! The packet policy: who may reach a guarded port.

use crate::{
    Address, DropReason, Flow, Frame, PassReason, Verdict, ethernet, ipv4, ipv6,
    segment::{AddressFamily, Payload, Protocol, Stop},
    tcp::{self, Plain, TcpStep, TransportHeader},
    udp,
};

/// How a source address stands with the prefix set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its longest matching prefix is admitted.
    Admitted,
    /// Its longest matching prefix has left the list, so recently that peers which have
    /// authenticated from it still pass.
    Draining,
    /// No prefix matches, or none that still counts.
    Unknown,
}

/// Whether a source that no prefix admits may pass all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It has authenticated recently enough.
    Authenticated,
    /// It may try to authenticate: the budget that strangers share has given it a try.
    Probation,
    /// Neither of these.
    None,
}

/// The questions of the policy about the world. A question that only an optional rule asks has a
/// default, with which the rule is off.
pub trait Facts {
    /// Whether the firewall covers this port.
    fn guarded(&self, port: u16) -> bool;
    /// How this source stands with its longest matching prefix.
    fn standing(&self, source: Address) -> Standing;
    /// Whether this source has completed an authenticated handshake.
    fn authenticated(&self, source: Address) -> bool;
    /// Whether the host would only forward a packet of this flow. When in doubt: no.
    fn transit(&self, flow: Flow) -> bool;
    /// Whether UDP to a guarded port is dropped.
    #[inline(always)]
    fn drops_udp(&self) -> bool {
        false
    }
    /// Whether this admitted source, which opens a connection, is over the budget of its network.
    /// The question spends from the budget.
    #[inline(always)]
    fn over_budget(&self, _source: Address) -> bool {
        false
    }
    /// Whether this source, which no prefix admits, may pass all the same. Where it opens a
    /// connection, the question spends from the budget that strangers share.
    #[inline(always)]
    fn trust(&self, _source: Address, _step: TcpStep) -> Trust {
        Trust::None
    }
    /// Receives the verdict on a packet that may be for a guarded port; `None` where the port
    /// cannot be known. It is for diagnostics and records, and changes nothing.
    #[inline(always)]
    fn judged(&self, _flow: Flow, _port: Option<u16>, _step: TcpStep, _verdict: Verdict) {}
}

/// The verdict on a packet, and the port that the packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision that is not carried out lets the packet pass"]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The guarded port; `None` where the port cannot be known, or is not guarded.
    pub port: Option<u16>,
}

impl Decision {
    const NOT_GUARDED: Self = Self::of(Verdict::Pass(PassReason::NotGuarded));

    const fn of(verdict: Verdict) -> Self {
        Self { verdict, port: None }
    }
}

/// The verdict on one frame: see [`decide`].
#[inline(always)]
pub fn judge(frame: &impl Frame, facts: &impl Facts) -> Verdict {
    decide(frame, facts).verdict
}

/// Decides about one frame. Asks for facts in order of their cost, and for none that the packet
/// does not need.
///
/// An admitted source is let through in every shape that hides no other source, for the kernel to
/// judge; any other source only where the packet cannot be for a guarded port of this host.
#[inline(always)]
pub fn decide(frame: &impl Frame, facts: &impl Facts) -> Decision {
    // Almost all TCP is plain, and on most hosts for other ports: then it ends here.
    if let Some(plain) = ipv4::plain(frame) {
        return decide_plain(frame, &plain, facts);
    }
    if let Some(plain) = ipv6::plain(frame) {
        return decide_plain(frame, &plain, facts);
    }
    // One copy of the rest for each family: the kernel's verifier refuses an address in registers
    // that may be either.
    match ethernet::read(frame) {
        Ok((AddressFamily::V4, at)) => {
            decide_ip(frame, ipv4::payload(frame, at), || ipv4::flow(frame, at), facts)
        }
        Ok((AddressFamily::V6, at)) => {
            decide_ip(frame, ipv6::payload(frame, at), || ipv6::flow(frame, at), facts)
        }
        Err(Stop::Other) => Decision::NOT_GUARDED,
        Err(Stop::Undecidable(why) | Stop::Unfit(why)) => Decision::of(Verdict::Drop(why)),
    }
}

#[inline(always)]
fn decide_plain(frame: &impl Frame, plain: &impl Plain, facts: &impl Facts) -> Decision {
    if !facts.guarded(plain.port()) {
        return Decision::NOT_GUARDED;
    }
    decide_candidate(Candidate::of(plain.header(frame)), plain.flow(), facts)
}

/// `flow` is read only for packets that may be for a guarded port: most never need it.
#[inline(always)]
fn decide_ip(
    frame: &impl Frame,
    payload: Result<Payload, Stop>,
    flow: impl FnOnce() -> Option<Flow>,
    facts: &impl Facts,
) -> Decision {
    let header = match payload {
        Ok(payload) if payload.protocol == Protocol::Tcp => tcp::read(frame, payload),
        Ok(payload) if facts.drops_udp() => udp::read(frame, payload),
        Ok(_) => Err(Stop::Other),
        Err(stop) => Err(stop),
    };
    let candidate = match header {
        Ok(header) if !facts.guarded(header.port) => return Decision::NOT_GUARDED,
        Ok(header) => Candidate::of(header),
        Err(Stop::Undecidable(why)) => Candidate::without_port(why, why != DropReason::Udp),
        Err(Stop::Unfit(why)) => Candidate::without_port(why, false),
        Err(Stop::Other) => return Decision::NOT_GUARDED,
    };
    match flow() {
        Some(flow) => decide_candidate(candidate, flow, facts),
        None => Decision::of(Verdict::Drop(DropReason::Malformed)),
    }
}

/// A packet that may be for a guarded port.
#[derive(Clone, Copy)]
struct Candidate {
    /// `None` where it cannot be known.
    port: Option<u16>,
    step: TcpStep,
    /// Why the packet is dropped, unless something lets it pass.
    why: DropReason,
    /// Whether its source may let it pass: not of UDP, and not of a packet that may hide another.
    source_counts: bool,
}

impl Candidate {
    #[inline(always)]
    fn of(header: TransportHeader) -> Self {
        let why = header.if_unknown();
        let source_counts = why != DropReason::Udp;
        Self { port: Some(header.port), step: header.step, why, source_counts }
    }

    #[inline(always)]
    const fn without_port(why: DropReason, source_counts: bool) -> Self {
        Self { port: None, step: TcpStep::Other, why, source_counts }
    }
}

#[inline(always)]
fn decide_candidate(candidate: Candidate, flow: Flow, facts: &impl Facts) -> Decision {
    let Candidate { port, step, why, source_counts } = candidate;
    let source = if source_counts { judge_source(flow.source, step, facts) } else { None };
    let verdict = match source {
        Some(Verdict::Pass(reason)) => Verdict::Pass(reason),
        // A budget that the source is over is for this host's own ports.
        Some(Verdict::Drop(_)) | None if facts.transit(flow) => Verdict::Pass(PassReason::Transit),
        Some(verdict) => verdict,
        // Only whole and sound TCP is worth a try: what else a stranger sends proves nothing.
        None if why == DropReason::UnknownSource => match facts.trust(flow.source, step) {
            Trust::Authenticated => Verdict::Pass(PassReason::Proven),
            Trust::Probation => Verdict::Pass(PassReason::Probation),
            Trust::None => Verdict::Drop(why),
        },
        None => Verdict::Drop(why),
    };
    facts.judged(flow, port, step, verdict);
    Decision { verdict, port }
}

/// The verdict that prefixes and peers give on `source`, if they give one.
#[inline(always)]
fn judge_source(source: Address, step: TcpStep, facts: &impl Facts) -> Option<Verdict> {
    match facts.standing(source) {
        Standing::Admitted if step == TcpStep::Opens && facts.over_budget(source) => {
            Some(Verdict::Drop(DropReason::SynBudget))
        }
        Standing::Admitted => Some(Verdict::Pass(PassReason::Admitted)),
        Standing::Draining if facts.authenticated(source) => {
            Some(Verdict::Pass(PassReason::Proven))
        }
        Standing::Draining | Standing::Unknown => None,
    }
}
