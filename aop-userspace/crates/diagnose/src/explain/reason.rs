//! The reason for a verdict, in one or two sentences.

use std::net::IpAddr;

use aop_api::{AdmissionContext, AdmissionSource};
use aop_common::{DropReason, PassReason, Standing, Verdict, layout::Prefix};
use aop_firewall::{DryRun, FrameVerdict};
use aop_types::monotonic_seconds;
use ipnet::IpNet;

use super::PrefixOwners;

/// The most guarded ports that a sentence lists.
const MAX_PORTS: usize = 8;

/// The state of a source in the maps.
pub(super) struct SourceState {
    source: IpAddr,
    /// The rule that admits its prefix.
    admits: Option<AdmissionSource>,
    pub(super) prefix: Option<(IpNet, Prefix)>,
    pub(super) standing: Standing,
    pub(super) authenticated: bool,
}

impl SourceState {
    pub(super) fn read(live: &DryRun, source: IpAddr, owners: PrefixOwners<'_>) -> Self {
        let (prefix, standing) = live.standing(source);
        let authenticated = live.authenticated(source);
        let PrefixOwners { extra, opened } = owners;
        let now = monotonic_seconds();
        let context = AdmissionContext::new(live.admission(), extra, opened, now);
        let admits = context.admits_stranger(source);
        Self { source, admits, prefix, standing, authenticated }
    }

    /// The explanation for people.
    pub(super) fn detail(
        &self,
        judged: FrameVerdict,
        port: Option<u16>,
        destination: Option<IpAddr>,
        guarded: &[u16],
    ) -> String {
        let to = destination.map_or("the destination".to_owned(), |to| to.to_string());
        let why = match judged.verdict {
            Verdict::Pass(PassReason::NotGuarded) => not_guarded(port, guarded),
            Verdict::Pass(PassReason::Admitted) => self.prefix_text(),
            Verdict::Pass(PassReason::Proven) => {
                format!("{}; it has authenticated, so it is still admitted", self.prefix_text())
            }
            Verdict::Pass(PassReason::Transit) => {
                format!("{}, but this host only forwards packets to {to}", self.prefix_text())
            }
            Verdict::Pass(PassReason::Probation) => {
                format!("{}; it may try to authenticate while the budget lasts", self.prefix_text())
            }
            Verdict::Drop(DropReason::SynBudget) => {
                format!("{}, and its network is over its budget", self.prefix_text())
            }
            Verdict::Drop(DropReason::UnknownSource) => {
                format!("{}{}", self.prefix_text(), self.peer())
            }
            Verdict::Drop(DropReason::Malformed) => {
                format!(
                    "{}, and its headers contradict themselves or end early",
                    self.prefix_text()
                )
            }
            Verdict::Drop(DropReason::Fragment) if self.standing == Standing::Admitted => {
                "a fragment that may hide another packet, so its source does not count".to_owned()
            }
            Verdict::Drop(DropReason::Fragment) => {
                format!("{}, and a fragment may carry TCP to a guarded port", self.prefix_text())
            }
            // Where the prefix of the source makes no difference.
            Verdict::Drop(reason) => meaning(reason),
        };
        sentence(&why, judged)
    }

    /// The prefix of the source and its state.
    fn prefix_text(&self) -> String {
        let Self { source, admits, .. } = self;
        let Some((prefix, _)) = self.prefix else {
            return format!("{source} is in no admitted prefix");
        };
        match (self.standing, self.drains_for_seconds()) {
            (Standing::Admitted, _) => {
                let by = match admits {
                    Some(AdmissionSource::Extra) => "firewall.extra admits",
                    Some(AdmissionSource::Opening) => "`aop open` admits for a limited time",
                    Some(
                        AdmissionSource::List
                        | AdmissionSource::Draining
                        | AdmissionSource::Trusted
                        | AdmissionSource::Unknown(_),
                    )
                    | None => "is in the prefix list",
                };
                format!("{source} is in {prefix}, which {by}")
            }
            (Standing::Draining, Some(seconds)) => format!(
                "{source} is in {prefix}, which has left the list and drains for {seconds} s more"
            ),
            (Standing::Draining | Standing::Unknown, _) => {
                format!("{source} is in {prefix}, which has left the list and no longer drains")
            }
        }
    }

    fn peer(&self) -> &'static str {
        match (self.authenticated, self.standing) {
            (true, _) => "; it authenticated before, but that no longer counts without a prefix",
            (false, Standing::Draining) => "; only peers that have authenticated still pass",
            (false, Standing::Admitted | Standing::Unknown) => "",
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

/// The explanation for a frame whose source is not readable.
pub(super) fn explain_unreadable(judged: FrameVerdict, guarded: &[u16]) -> String {
    let why = match judged.verdict {
        Verdict::Pass(_) => not_guarded(None, guarded),
        Verdict::Drop(reason @ DropReason::TooDeep) => meaning(reason),
        Verdict::Drop(_) => "the frame ends before its addresses".to_owned(),
    };
    sentence(&why, judged)
}

fn not_guarded(port: Option<u16>, guarded: &[u16]) -> String {
    let named: Vec<String> = guarded.iter().take(MAX_PORTS).map(u16::to_string).collect();
    let more = if guarded.len() > MAX_PORTS { ", …" } else { "" };
    let guarded = if named.is_empty() { "none" } else { &named.join(", ") };
    match port {
        Some(port) => format!("port {port} is not guarded; guarded: {guarded}{more}"),
        None => format!("not TCP to a guarded port; guarded: {guarded}{more}"),
    }
}

fn meaning(reason: DropReason) -> String {
    reason.meaning().trim_end_matches('.').to_owned()
}

fn sentence(why: &str, judged: FrameVerdict) -> String {
    let effect = if judged.would_drop() {
        " Observe mode: it is counted and passes; enforce would drop it."
    } else {
        ""
    };
    format!("{why}.{effect}")
}

#[cfg(test)]
mod tests {
    use aop_common::Mode;

    use super::*;

    fn state(
        prefix: Option<(&str, Prefix)>,
        standing: Standing,
        authenticated: bool,
    ) -> SourceState {
        let source = "192.0.2.7".parse().expect("an address");
        let prefix = prefix.map(|(net, entry)| (net.parse().expect("a CIDR"), entry));
        let admits = Some(AdmissionSource::List);
        SourceState { source, admits, prefix, standing, authenticated }
    }

    fn detail(state: &SourceState, verdict: Verdict, mode: Mode) -> String {
        state.detail(
            FrameVerdict { verdict, action: verdict.action(mode) },
            Some(443),
            None,
            &[443],
        )
    }

    #[test]
    fn the_explanation_of_an_admitted_source_has_its_prefix_and_what_admits_it() {
        let mut state = state(Some(("192.0.2.0/24", Prefix::ADMITTED)), Standing::Admitted, false);
        assert_eq!(
            detail(&state, Verdict::Pass(PassReason::Admitted), Mode::Enforce),
            "192.0.2.7 is in 192.0.2.0/24, which is in the prefix list."
        );
        state.admits = Some(AdmissionSource::Extra);
        assert_eq!(
            detail(&state, Verdict::Pass(PassReason::Admitted), Mode::Enforce),
            "192.0.2.7 is in 192.0.2.0/24, which firewall.extra admits."
        );
    }

    #[test]
    fn in_observe_mode_the_explanation_says_what_enforce_would_do() {
        let verdict = Verdict::Drop(DropReason::UnknownSource);
        let state = state(None, Standing::Unknown, true);
        assert_eq!(
            detail(&state, verdict, Mode::Observe),
            "192.0.2.7 is in no admitted prefix; it authenticated before, but that no longer counts without a prefix. Observe mode: it is counted and passes; \
             enforce would drop it."
        );
        assert!(!detail(&state, verdict, Mode::Enforce).contains("Observe"));
    }

    #[test]
    fn the_explanation_of_a_draining_prefix_has_its_time_left() {
        let until = u32::try_from(monotonic_seconds() + 100).expect("fits");
        let prefix = Some(("192.0.2.0/24", Prefix { drains_until: until }));
        let state = state(prefix, Standing::Draining, false);
        let text = detail(&state, Verdict::Drop(DropReason::UnknownSource), Mode::Enforce);
        assert!(text.contains("drains for") && text.contains("only peers that have"), "{text}");
        assert!(state.drains_for_seconds().is_some_and(|seconds| (98..=100).contains(&seconds)));
    }
}
