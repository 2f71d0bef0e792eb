//! Every shape of the packet table, run through the firewall in force.
//!
//! The shapes and what they owe are written by hand in `aop_common::corpus`; the addresses and the
//! port are those of this host and its list. The verdicts are the kernel's own, from [`Live`]. A
//! shape that this host has no source for is not tried, and counted as such.

mod scene;

use std::collections::BTreeMap;

use aop_common::{
    Address, Bytes, DropReason, PassReason, Segment, Standing, Verdict,
    corpus::{Fixture, Group, fixtures_in},
};
pub use scene::NothingGuarded;

use crate::{
    control::{Proof, ProofFailure, ProofGroup},
    explain,
    firewall::{FirewallError, Live},
    prefixes::monotonic_seconds,
};

/// Why nothing can be proved.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ProveError {
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    #[error(transparent)]
    NothingGuarded(#[from] NothingGuarded),
}

/// Runs every shape.
///
/// # Errors
/// No port is guarded, or the kernel refuses to run a frame.
pub fn prove(live: &mut Live) -> Result<Proof, ProveError> {
    let actors = scene::actors(live)?;
    let admission = live.admission().clone();
    let standing = |source: Address| admission.standing(source.into(), monotonic_seconds());
    let guarded = actors.scene.guarded;
    let rules =
        Rules { udp: live.drops_udp().then_some(guarded), probation: live.gives_probation() };
    let found = try_all(
        fixtures_in(&actors.scene),
        rules,
        |fixture| owed(fixture, rules, standing),
        |frame| live.judge(frame).map(|judged| judged.verdict),
    )?;
    Ok(Proof {
        interface: live.interface().to_owned(),
        mode: explain::mode(live.mode(Some(guarded))).to_owned(),
        generation: live.generation(),
        port: guarded,
        strangers: actors.strangers,
        admitted: actors.admitted,
        passed: found.groups.values().map(|group| group.tried - group.wrong).sum(),
        failed: found.failures.len(),
        not_tried: found.not_tried,
        groups: found.groups.into_values().collect(),
        failures: found.failures,
    })
}

/// What the settings add to the table, which has them off.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// The port to which UDP is dropped.
    udp: Option<u16>,
    /// Whether a stranger may be given a try instead of a drop.
    probation: bool,
}

impl Rules {
    fn allow(self, owed: Verdict, got: Verdict) -> bool {
        let tried = owed == Verdict::Drop(DropReason::UnknownSource)
            && got == Verdict::Pass(PassReason::Probation);
        got == owed || self.probation && tried
    }
}

/// The verdict that a fixture owes on this host; none where its source stands otherwise here than
/// in the table, or its verdict depends on more than the list.
fn owed(
    fixture: &Fixture,
    rules: Rules,
    standing: impl Fn(Address) -> Standing,
) -> Option<Verdict> {
    const UDP: Option<Verdict> = Some(Verdict::Drop(DropReason::Udp));
    if fixture.frame.len() < Live::SHORTEST {
        return None;
    }
    let flow = match Segment::read(&Bytes(&fixture.frame)) {
        Segment::Udp { port, .. } if rules.udp == Some(port) => return UDP,
        Segment::Undecidable { why: DropReason::Udp, .. } if rules.udp.is_some() => return UDP,
        // Among them UDP that is cut before its addresses.
        Segment::Other if rules.udp.is_some() && fixture.group == Group::Cut => return None,
        Segment::Udp { .. } | Segment::Other | Segment::Unfit { .. } | Segment::Unreadable(_) => {
            return Some(fixture.verdict);
        }
        Segment::Tcp { flow, .. } | Segment::Undecidable { flow, .. } => flow,
    };
    match (fixture.group, fixture.verdict, standing(flow.source)) {
        // They need peers and routes of their own; `cargo xtask test kernel` has those.
        (Group::Draining | Group::Beyond, ..) => None,
        (_, Verdict::Pass(PassReason::NotGuarded), _)
        | (_, Verdict::Pass(PassReason::Admitted), Standing::Admitted)
        | (_, Verdict::Drop(_), Standing::Unknown) => Some(fixture.verdict),
        // Such as the host's own address, or the one above a prefix, where the list has it too.
        (Group::Sources, Verdict::Drop(_), Standing::Admitted) => {
            Some(Verdict::Pass(PassReason::Admitted))
        }
        _ => None,
    }
}

#[derive(Default)]
struct Found {
    groups: BTreeMap<Group, ProofGroup>,
    failures: Vec<ProofFailure>,
    not_tried: usize,
}

fn try_all<E>(
    fixtures: Vec<Fixture>,
    rules: Rules,
    owed: impl Fn(&Fixture) -> Option<Verdict>,
    mut judge: impl FnMut(&[u8]) -> Result<Verdict, E>,
) -> Result<Found, E> {
    let mut found = Found::default();
    for fixture in fixtures {
        let Some(owed) = owed(&fixture) else {
            found.not_tried += 1;
            continue;
        };
        let got = judge(&fixture.frame)?;
        let group = found.groups.entry(fixture.group).or_insert_with(|| ProofGroup {
            name: fixture.group.name().to_owned(),
            tried: 0,
            dropped: 0,
            passed: 0,
            wrong: 0,
        });
        group.tried += 1;
        match got {
            Verdict::Drop(_) => group.dropped += 1,
            Verdict::Pass(_) => group.passed += 1,
        }
        if !rules.allow(owed, got) {
            group.wrong += 1;
            let (name, owes, got) = (fixture.name.to_owned(), told(owed), told(got));
            found.failures.push(ProofFailure { name, owes, got });
        }
    }
    Ok(found)
}

fn told(verdict: Verdict) -> String {
    let what = match verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Drop(_) => "drop",
    };
    format!("{what} ({})", verdict.reason())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use aop_common::{
        Facts,
        corpus::{Scene, fixtures},
        judge,
    };

    use super::*;

    /// Tries the table on the host's policy, bent by `bend`, in the table's own scene.
    fn tried(bend: impl Fn(Verdict) -> Verdict) -> Found {
        let (facts, rules) = (Scene::FIXED.facts(), Rules::default());
        let verdict = |frame: &[u8]| Ok::<_, Infallible>(bend(judge(&Bytes(frame), &facts)));
        let standing = |source| facts.standing(source);
        match try_all(fixtures(), rules, |fixture| owed(fixture, rules, standing), verdict) {
            Ok(found) => found,
            Err(never) => match never {},
        }
    }

    #[test]
    fn the_right_policy_passes_every_shape_that_can_be_tried() {
        let found = tried(|verdict| verdict);
        assert!(found.failures.is_empty(), "{:?}", found.failures);
        let tried: usize = found.groups.values().map(|group| group.tried).sum();
        assert_eq!(tried + found.not_tried, fixtures().len());
        assert!(found.not_tried < 30, "{} not tried", found.not_tried);
    }

    #[test]
    fn a_policy_with_a_hole_fails_in_the_group_of_the_hole() {
        let fragment = Verdict::Drop(DropReason::Fragment);
        let hole = |verdict| {
            if verdict == fragment { Verdict::Pass(PassReason::NotGuarded) } else { verdict }
        };
        let found = tried(hole);
        assert!(found.failures.len() > 10);
        assert_eq!(found.failures[0].owes, "drop (fragment)");
        assert!(found.groups[&Group::Ipv4Fragments].wrong > 5);
        assert_eq!(found.groups[&Group::Tcp].wrong, 0);
    }

    #[test]
    fn where_nobody_is_admitted_only_strangers_are_tried() {
        let mut facts = Scene::FIXED.facts();
        facts.v4.clear();
        facts.v6.clear();
        let standing = |source| facts.standing(source);
        for fixture in fixtures() {
            assert_ne!(
                owed(&fixture, Rules::default(), standing),
                Some(Verdict::Pass(PassReason::Admitted))
            );
        }
    }
}
