//! `aop prove`: runs every shape of the packet table through the loaded firewall.
//!
//! The shapes and their expected verdicts are data, in the crate `aop-packets`; the addresses and the
//! port are those of this host and its list. The verdicts come from the kernel, through [`DryRun`].
//! If a budget or probation is on, a shape to which it applies is run twice: with full and with
//! spent budgets. Shapes that do not apply on this host are listed by name.

mod host;
mod scene;
mod table;

use aop_api::{ProofGroup, ProveReport};
use aop_common::Verdict;
use aop_firewall::{DryRun, FirewallError};
use aop_packets::{BadShape, Fixture, Role, Scene, fixtures_in};
use host::{Host, source};
pub use scene::NothingGuarded;
use table::Table;

use crate::explain;

/// Why the proof cannot be run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ProveError {
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    #[error(transparent)]
    NothingGuarded(#[from] NothingGuarded),
    #[error("the packet table in this program is damaged: {0}")]
    Table(#[from] BadShape),
}

/// The state of the budgets when a frame is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Budgets {
    Full,
    Spent,
}

/// The reason why a shape is not tried here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hindrance {
    /// The shape makes no sense on this host.
    NotApplicable(String),
    /// The kernel cannot run the frame.
    NotRunnable(String),
}

/// Runs every shape.
///
/// # Errors
/// No port is guarded, or the kernel refuses to run a frame or to list its routes.
pub fn prove(live: &mut DryRun) -> Result<ProveReport, ProveError> {
    let actors = scene::actors(live)?;
    let fixtures = fixtures_in(&actors.scene)?;
    let host = Host::new(live, actors, &fixtures)?;
    let table = try_all(&fixtures, &host, |frame, budgets| {
        let spent = source(frame).filter(|_| budgets == Budgets::Spent);
        live.judge_anew(frame, spent).map(|judged| judged.verdict)
    })?;
    let Scene { v4, v6, guarded, .. } = host.actors.scene;
    let playing = |role, addresses| host.actors.playing(role, addresses);
    let right = |group: &ProofGroup| group.tried - group.wrong;
    Ok(ProveReport {
        interface: live.interface().to_owned(),
        mode: explain::mode(live.mode(Some(guarded))).to_owned(),
        generation: live.generation(),
        port: guarded,
        strangers: playing(Role::Stranger, [v4.stranger.into(), v6.stranger.into()]),
        admitted: playing(Role::Admitted, [v4.admitted.into(), v6.admitted.into()]),
        peers: playing(Role::Peer, [v4.peer.into(), v6.peer.into()]),
        beyond: playing(Role::Beyond, [v4.beyond.into(), v6.beyond.into()]),
        passed: table.groups.iter().map(right).sum(),
        failed: table.failures.len(),
        not_tried: table.not_tried,
        groups: table.groups,
        failures: table.failures,
        shapes: table.shapes,
        not_applicable: table.not_applicable,
        not_runnable: table.not_runnable,
    })
}

/// Runs every fixture that applies, and records those that do not.
fn try_all<E>(
    fixtures: &[Fixture],
    host: &Host,
    mut judge: impl FnMut(&[u8], Budgets) -> Result<Verdict, E>,
) -> Result<Table, E> {
    let mut table = Table::default();
    for fixture in fixtures {
        if let Some(hindrance) = host.hinders(fixture) {
            table.not_tried(fixture, hindrance);
            continue;
        }
        for budgets in host.budgets(fixture) {
            let owed = fixture.expected(|rule| host.holds(rule, fixture, budgets));
            table.tried(fixture, budgets, owed, judge(&fixture.frame, budgets)?);
        }
        for (rule, _) in &fixture.under {
            if let Some(why) = host.lacks(*rule, fixture) {
                table.rule_is_off(fixture, *rule, why);
            }
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use aop_common::{Bytes, DropReason, PassReason, judge};
    use aop_packets::{Rule, fixtures};

    use super::{host::Settings, *};

    /// Runs the table in its own scene against the reference policy under `rules`; `bend` falsifies
    /// verdicts.
    fn tried(rules: &[Rule], bend: impl Fn(Verdict) -> Verdict) -> Table {
        let fixtures = fixtures().expect("the data files are sound");
        let settings = Settings {
            udp: rules.contains(&Rule::Udp),
            probation: rules.contains(&Rule::Probation),
            budgets: rules.contains(&Rule::Spent),
        };
        let facts = |budgets| {
            let holds = |rule: &&Rule| match rule {
                Rule::Probation => budgets == Budgets::Full,
                Rule::Spent => budgets == Budgets::Spent,
                Rule::Trusted | Rule::Udp | Rule::Forwarding | Rule::Listed => true,
            };
            let rules: Vec<Rule> = rules.iter().filter(holds).copied().collect();
            Scene::FIXED.facts_under(&rules)
        };
        let host = Host::of_scene(&Scene::FIXED, settings, rules, &fixtures);
        let verdict = |frame: &[u8], budgets| {
            Ok::<_, Infallible>(bend(judge(&Bytes(frame), &facts(budgets))))
        };
        match try_all(&fixtures, &host, verdict) {
            Ok(table) => table,
            Err(never) => match never {},
        }
    }

    #[test]
    fn the_reference_policy_passes_every_shape_under_every_set_of_rules() {
        let all = [Rule::Udp, Rule::Probation, Rule::Trusted, Rule::Spent, Rule::Forwarding];
        for rules in [&[][..], &all[..1], &all[1..2], &all[1..3], &all[3..4], &all[4..], &all] {
            let table = tried(rules, |verdict| verdict);
            assert!(table.failures.is_empty(), "{rules:?}: {:?}", table.failures);
            assert_eq!(table.not_tried, 8, "{rules:?}: only the frames that are too short");
            assert_eq!(table.not_runnable.len(), 8);
        }
    }

    #[test]
    fn with_every_rule_on_everything_is_applicable() {
        let all = [Rule::Udp, Rule::Probation, Rule::Trusted, Rule::Spent, Rule::Forwarding];
        let found = tried(&all, |verdict| verdict).not_applicable;
        assert!(found.is_empty(), "{found:?}");
        let off = tried(&[], |verdict| verdict).not_applicable;
        for rule in all {
            assert!(off.iter().any(|it| it.rule.as_deref() == Some(rule.name())), "{rule:?}");
        }
    }

    #[test]
    fn a_faulty_policy_fails_in_the_affected_group_and_the_failure_names_the_line() {
        let fragment = Verdict::Drop(DropReason::Fragment);
        let hole = |verdict| {
            if verdict == fragment { Verdict::Pass(PassReason::NotGuarded) } else { verdict }
        };
        let table = tried(&[], hole);
        assert!(table.failures.len() > 10);
        assert_eq!(table.failures[0].owes, "drop (fragment)");
        assert!(table.failures[0].place.starts_with("ethernet.shapes:"), "{:?}", table.failures[0]);
        let wrong = |name: &str| table.groups.iter().find(|it| it.name == name).map(|it| it.wrong);
        assert!(wrong("IPv4 fragments") > Some(5));
        assert_eq!(wrong("TCP headers"), Some(0));
    }

    #[test]
    fn a_budget_that_is_never_spent_is_a_failure() {
        let over = Verdict::Drop(DropReason::SynBudget);
        let hole = |verdict| if verdict == over { ADMITTED } else { verdict };
        let table = tried(&[Rule::Spent], hole);
        assert!(table.failures.len() > 50, "{}", table.failures.len());
        assert!(table.failures.iter().all(|it| it.spent && it.owes == "drop (syn_budget)"));
    }

    const ADMITTED: Verdict = Verdict::Pass(PassReason::Admitted);
}
