//! Why a verdict is what it is, in a sentence or two.

use std::net::IpAddr;

use aop_common::{DropReason, Mode, PassReason, Standing, Verdict, layout::Prefix};
use aop_firewall::{Judged, Live};
use aop_types::monotonic_seconds;
use ipnet::IpNet;

/// Guarded ports that a sentence names.
const NAMED: usize = 8;

/// What the maps say about a source.
pub(super) struct Why {
    source: IpAddr,
    generation: u32,
    pub(super) prefix: Option<(IpNet, Prefix)>,
    standing: Standing,
    pub(super) authenticated: bool,
}

impl Why {
    pub(super) fn of(live: &Live, source: IpAddr) -> Self {
        let (prefix, standing) = live.standing(source);
        let authenticated = live.authenticated(source);
        Self { source, generation: live.generation(), prefix, standing, authenticated }
    }

    /// The verdict for people: what was found, and what is done about it.
    pub(super) fn detail(
        &self,
        judged: Judged,
        port: Option<u16>,
        destination: Option<IpAddr>,
        guarded: &[u16],
    ) -> String {
        let to = destination.map_or("the destination".to_owned(), |to| to.to_string());
        let why = match judged.verdict {
            Verdict::Pass(PassReason::NotGuarded) => not_guarded(port, guarded),
            Verdict::Pass(PassReason::Admitted) => self.place(),
            Verdict::Pass(PassReason::Proven) => {
                format!("{}; it has authenticated, so it is still let in", self.place())
            }
            Verdict::Pass(PassReason::Transit) => {
                format!("{}, but this host only forwards packets to {to}", self.place())
            }
            Verdict::Pass(PassReason::Probation) => {
                format!(
                    "{}; it is given a try to authenticate while the budget lasts",
                    self.place()
                )
            }
            Verdict::Drop(DropReason::SynBudget) => {
                format!("{}, and its network is over its budget", self.place())
            }
            Verdict::Drop(DropReason::Udp) => "UDP to a guarded port is dropped here".to_owned(),
            Verdict::Drop(DropReason::UnknownSource) => {
                format!("{}{}", self.place(), self.peer())
            }
            Verdict::Drop(DropReason::Malformed) => {
                format!("{}, and its headers contradict themselves or end early", self.place())
            }
            Verdict::Drop(DropReason::Fragment) if self.standing == Standing::Admitted => {
                "a fragment that may hide another packet, so its source says nothing".to_owned()
            }
            Verdict::Drop(DropReason::Fragment) => {
                format!("{}, and a fragment may carry TCP to a guarded port", self.place())
            }
            Verdict::Drop(DropReason::TooDeep) => too_deep(),
        };
        sentence(&why, judged)
    }

    /// By which prefix the source stands how.
    fn place(&self) -> String {
        let Self { source, generation, .. } = self;
        let Some((prefix, _)) = self.prefix else {
            return format!("{source} lies in no prefix of the list (generation {generation})");
        };
        match (self.standing, self.drains_for_seconds()) {
            (Standing::Admitted, _) => {
                format!("{source} lies in {prefix}, which generation {generation} admits")
            }
            (Standing::Draining, Some(seconds)) => format!(
                "{source} lies in {prefix}, which has left the list and drains for {seconds} s more"
            ),
            (Standing::Draining | Standing::Unknown, _) => {
                format!("{source} lies in {prefix}, which has left the list and no longer drains")
            }
        }
    }

    fn peer(&self) -> &'static str {
        match (self.authenticated, self.standing) {
            (true, _) => "; it has authenticated before, which without a prefix no longer counts",
            (false, Standing::Draining) => "; only peers that have authenticated are still let in",
            (false, Standing::Admitted | Standing::Unknown) => "",
        }
    }

    /// The standing's stable name.
    pub(super) fn standing(&self) -> &'static str {
        match self.standing {
            Standing::Admitted => "admitted",
            Standing::Draining => "draining",
            Standing::Unknown => "unknown",
        }
    }

    pub(super) fn drains_for_seconds(&self) -> Option<u64> {
        match (self.standing, self.prefix) {
            (Standing::Draining, Some((_, prefix))) => {
                Some(u64::from(prefix.drains_until).saturating_sub(monotonic_seconds()))
            }
            (Standing::Admitted | Standing::Draining | Standing::Unknown, _) => None,
        }
    }
}

/// The verdict on a frame whose source is not read.
pub(super) fn without_source(judged: Judged, guarded: &[u16]) -> String {
    let why = match judged.verdict {
        Verdict::Pass(_) => not_guarded(None, guarded),
        Verdict::Drop(DropReason::TooDeep) => too_deep(),
        Verdict::Drop(_) => "the frame ends before its addresses".to_owned(),
    };
    sentence(&why, judged)
}

/// The mode's stable name.
pub fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

fn not_guarded(port: Option<u16>, guarded: &[u16]) -> String {
    let named: Vec<String> = guarded.iter().take(NAMED).map(u16::to_string).collect();
    let more = if guarded.len() > NAMED { ", …" } else { "" };
    let guarded = if named.is_empty() { "none" } else { &named.join(", ") };
    match port {
        Some(port) => format!("port {port} is not guarded; guarded: {guarded}{more}"),
        None => format!("not TCP to a guarded port; guarded: {guarded}{more}"),
    }
}

fn too_deep() -> String {
    "more VLAN tags or IPv6 extension headers than are walked, or a packet inside a packet"
        .to_owned()
}

fn sentence(why: &str, judged: Judged) -> String {
    let done = if judged.would_drop() {
        " Observing: it is counted and passed; enforcing would drop it."
    } else {
        ""
    };
    format!("{why}.{done}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(prefix: Option<(&str, Prefix)>, standing: Standing, authenticated: bool) -> Why {
        let source = "192.0.2.7".parse().expect("an address");
        let prefix = prefix.map(|(net, entry)| (net.parse().expect("a CIDR"), entry));
        Why { source, generation: 3, prefix, standing, authenticated }
    }

    fn told(why: &Why, verdict: Verdict, mode: Mode) -> String {
        why.detail(Judged { verdict, action: verdict.action(mode) }, Some(443), None, &[443])
    }

    #[test]
    fn an_admitted_source_is_told_its_prefix_and_generation() {
        let why = why(Some(("192.0.2.0/24", Prefix::ADMITTED)), Standing::Admitted, false);
        assert_eq!(
            told(&why, Verdict::Pass(PassReason::Admitted), Mode::Enforce),
            "192.0.2.7 lies in 192.0.2.0/24, which generation 3 admits."
        );
    }

    #[test]
    fn observing_says_what_enforcing_would_do() {
        let verdict = Verdict::Drop(DropReason::UnknownSource);
        let why = why(None, Standing::Unknown, true);
        assert_eq!(
            told(&why, verdict, Mode::Observe),
            "192.0.2.7 lies in no prefix of the list (generation 3); it has authenticated before, \
             which without a prefix no longer counts. Observing: it is counted and passed; enforcing \
             would drop it."
        );
        assert!(!told(&why, verdict, Mode::Enforce).contains("Observing"));
    }

    #[test]
    fn a_draining_prefix_tells_how_long() {
        let until = u32::try_from(monotonic_seconds() + 100).expect("fits");
        let prefix = Some(("192.0.2.0/24", Prefix { drains_until: until }));
        let why = why(prefix, Standing::Draining, false);
        let text = told(&why, Verdict::Drop(DropReason::UnknownSource), Mode::Enforce);
        assert!(text.contains("drains for") && text.contains("only peers that have"), "{text}");
        assert!(why.drains_for_seconds().is_some_and(|seconds| (98..=100).contains(&seconds)));
    }
}
