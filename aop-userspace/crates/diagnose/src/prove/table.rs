//! The results of all shapes.

use aop_api::{ProofFailure, ProofGroup, ProofShape, ProofUntried};
use aop_common::Verdict;
use aop_packets::{Fixture, Rule};

use super::{BudgetState, SkipReason};

#[derive(Default)]
pub(super) struct ProofTable {
    pub(super) groups: Vec<ProofGroup>,
    pub(super) shapes: Vec<ProofShape>,
    pub(super) failures: Vec<ProofFailure>,
    pub(super) not_applicable: Vec<ProofUntried>,
    pub(super) not_runnable: Vec<ProofUntried>,
    /// How many fixtures were not run.
    pub(super) not_tried: usize,
}

impl ProofTable {
    /// Records the run of a frame.
    pub(super) fn add_run(
        &mut self,
        fixture: &Fixture,
        budgets: BudgetState,
        expected: Verdict,
        got: Verdict,
    ) {
        let group = self.group(&fixture.group);
        group.tried += 1;
        match got {
            Verdict::Drop(_) => group.dropped += 1,
            Verdict::Pass(_) => group.passed += 1,
        }
        group.wrong += usize::from(got != expected);
        let shape = ProofShape {
            name: fixture.name.clone(),
            place: fixture.place.clone(),
            group: fixture.group.clone(),
            owes: verdict_text(expected),
            got: verdict_text(got),
            spent: budgets == BudgetState::Spent,
        };
        if got != expected {
            let ProofShape { name, place, owes, got, spent, .. } = shape.clone();
            self.failures.push(ProofFailure { name, owes, got, place, spent });
        }
        self.shapes.push(shape);
    }

    /// Records that a fixture was not run.
    pub(super) fn add_skipped(&mut self, fixture: &Fixture, reason: SkipReason) {
        self.not_tried += 1;
        match reason {
            SkipReason::NotApplicable(why) => self.not_applicable.push(untried(fixture, None, why)),
            SkipReason::NotRunnable(why) => self.not_runnable.push(untried(fixture, None, why)),
        }
    }

    /// Records that a fixture was run, but not under this rule.
    pub(super) fn add_disabled_rule(&mut self, fixture: &Fixture, rule: Rule, why: String) {
        self.not_applicable.push(untried(fixture, Some(rule), why));
    }

    fn group(&mut self, name: &str) -> &mut ProofGroup {
        let at = self.groups.iter().position(|group| group.name == name);
        let at = at.unwrap_or_else(|| {
            let name = name.to_owned();
            self.groups.push(ProofGroup { name, tried: 0, dropped: 0, passed: 0, wrong: 0 });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }
}

fn untried(fixture: &Fixture, rule: Option<Rule>, why: String) -> ProofUntried {
    let (name, place) = (fixture.name.clone(), fixture.place.clone());
    ProofUntried { name, place, rule: rule.map(|rule| rule.name().to_owned()), why }
}

fn verdict_text(verdict: Verdict) -> String {
    let action = match verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Drop(_) => "drop",
    };
    format!("{action} ({})", verdict.reason())
}
