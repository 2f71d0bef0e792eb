//! `aop prove`: runs every shape of the packet table through the loaded firewall.
//!
//! The shapes and their expected verdicts are data, in the crate `aop-packets`; the addresses and
//! the port are those of this host and its list. The verdicts come from the kernel, through
//! [`DryRun`].
//! If a budget or probation is on, a shape to which it applies is run twice: with full and with
//! spent budgets. Shapes that do not apply on this host are listed by name.

mod addresses;
mod host;
mod table;

use aop_api::{ProofGroup, ProveReport};
use aop_common::Verdict;
use aop_firewall::{DryRun, FirewallError};
use aop_packets::{BadShape, Fixture, Role, Scene, fixtures_in};

use self::{addresses::find_addresses, host::ProofHost, table::ProofTable};
use crate::frame::FrameAddresses;

/// Why the proof cannot be run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ProveError {
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    #[error("no port is guarded, so there is nothing to prove; set firewall.ports or a listener")]
    NothingGuarded,
    #[error("the packet table in this program is damaged: {0}")]
    Table(#[from] BadShape),
}

/// The state of the budgets when a frame is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BudgetState {
    Full,
    Spent,
}

/// The reason why a shape is not tried here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SkipReason {
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
    let addresses = find_addresses(live)?;
    let fixtures = fixtures_in(&addresses.scene)?;
    let host = ProofHost::new(live, addresses, &fixtures)?;
    let table = run_all(&fixtures, &host, |frame, budgets| {
        let source = FrameAddresses::read(frame).source;
        let spent = source.filter(|_| budgets == BudgetState::Spent);
        live.judge_fresh(frame, spent).map(|judged| judged.verdict)
    })?;
    let Scene { v4, v6, guarded, .. } = host.addresses.scene;
    let filling = |role, of_both| host.addresses.filling(role, of_both);
    let right = |group: &ProofGroup| group.tried - group.wrong;
    Ok(ProveReport {
        interface: live.interface().to_owned(),
        mode: live.mode(Some(guarded)).into(),
        generation: live.generation(),
        port: guarded,
        strangers: filling(Role::Stranger, [v4.stranger.into(), v6.stranger.into()]),
        admitted: filling(Role::Admitted, [v4.admitted.into(), v6.admitted.into()]),
        peers: filling(Role::Peer, [v4.peer.into(), v6.peer.into()]),
        beyond: filling(Role::Beyond, [v4.beyond.into(), v6.beyond.into()]),
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
fn run_all<E>(
    fixtures: &[Fixture],
    host: &ProofHost,
    mut judge: impl FnMut(&[u8], BudgetState) -> Result<Verdict, E>,
) -> Result<ProofTable, E> {
    let mut table = ProofTable::default();
    for fixture in fixtures {
        if let Some(reason) = host.skips(fixture) {
            table.add_skipped(fixture, reason);
            continue;
        }
        for budgets in host.budget_states(fixture) {
            let expected = fixture.expected(|rule| host.applies(rule, fixture, budgets));
            table.add_run(fixture, budgets, expected, judge(&fixture.frame, budgets)?);
        }
        for (rule, _) in &fixture.under {
            if let Some(why) = host.why_off(*rule, fixture) {
                table.add_disabled_rule(fixture, *rule, why);
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

    use super::{host::EnabledRules, *};

    /// Runs the table in its own scene against the reference policy under `rules`; `bend` changes
    /// verdicts.
    fn run_under(rules: &[Rule], bend: impl Fn(Verdict) -> Verdict) -> ProofTable {
        let fixtures = fixtures().expect("the data files are sound");
        let enabled = EnabledRules {
            udp: rules.contains(&Rule::Udp),
            probation: rules.contains(&Rule::Probation),
            budgets: rules.contains(&Rule::Spent),
        };
        let facts = |budgets| {
            let holds = |rule: &&Rule| match rule {
                Rule::Probation => budgets == BudgetState::Full,
                Rule::Spent => budgets == BudgetState::Spent,
                Rule::Trusted | Rule::Udp | Rule::Forwarding | Rule::Listed => true,
            };
            let rules: Vec<Rule> = rules.iter().filter(holds).copied().collect();
            Scene::FIXED.facts_under(&rules)
        };
        let host = ProofHost::of_scene(&Scene::FIXED, enabled, rules, &fixtures);
        let verdict = |frame: &[u8], budgets| {
            Ok::<_, Infallible>(bend(judge(&Bytes(frame), &facts(budgets))))
        };
        match run_all(&fixtures, &host, verdict) {
            Ok(table) => table,
            Err(never) => match never {},
        }
    }

    #[test]
    fn the_reference_policy_passes_every_shape_under_every_set_of_rules() {
        let all = [Rule::Udp, Rule::Probation, Rule::Trusted, Rule::Spent, Rule::Forwarding];
        for rules in [&[][..], &all[..1], &all[1..2], &all[1..3], &all[3..4], &all[4..], &all] {
            let table = run_under(rules, |verdict| verdict);
            assert!(table.failures.is_empty(), "{rules:?}: {:?}", table.failures);
            assert_eq!(table.not_tried, 8, "{rules:?}: only the frames that are too short");
            assert_eq!(table.not_runnable.len(), 8);
        }
    }

    #[test]
    fn with_every_rule_on_everything_is_applicable() {
        let all = [Rule::Udp, Rule::Probation, Rule::Trusted, Rule::Spent, Rule::Forwarding];
        let found = run_under(&all, |verdict| verdict).not_applicable;
        assert!(found.is_empty(), "{found:?}");
        let off = run_under(&[], |verdict| verdict).not_applicable;
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
        let table = run_under(&[], hole);
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
        let table = run_under(&[Rule::Spent], hole);
        assert!(table.failures.len() > 50, "{}", table.failures.len());
        assert!(table.failures.iter().all(|it| it.spent && it.owes == "drop (syn_budget)"));
    }

    const ADMITTED: Verdict = Verdict::Pass(PassReason::Admitted);
}
