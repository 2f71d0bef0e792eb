//! The results of all shapes.

use aop_api::{ProofFailure, ProofGroup, ProofShape, ProofUntried};
use aop_common::Verdict;
use aop_packets::{Fixture, Rule};

use super::{Budgets, Hindrance};

#[derive(Default)]
pub(super) struct Table {
    pub(super) groups: Vec<ProofGroup>,
    pub(super) shapes: Vec<ProofShape>,
    pub(super) failures: Vec<ProofFailure>,
    pub(super) not_applicable: Vec<ProofUntried>,
    pub(super) not_runnable: Vec<ProofUntried>,
    /// How many fixtures were not run.
    pub(super) not_tried: usize,
}

impl Table {
    /// Records the run of a frame.
    pub(super) fn tried(&mut self, it: &Fixture, budgets: Budgets, owed: Verdict, got: Verdict) {
        let group = self.group(&it.group);
        group.tried += 1;
        match got {
            Verdict::Drop(_) => group.dropped += 1,
            Verdict::Pass(_) => group.passed += 1,
        }
        group.wrong += usize::from(got != owed);
        let (name, place) = (it.name.clone(), it.place.clone());
        let (owes, got_, spent) = (told(owed), told(got), budgets == Budgets::Spent);
        if got != owed {
            let (name, place, owes, got) =
                (name.clone(), place.clone(), owes.clone(), got_.clone());
            self.failures.push(ProofFailure { name, owes, got, place, spent });
        }
        let group = it.group.clone();
        self.shapes.push(ProofShape { name, place, group, owes, got: got_, spent });
    }

    /// Records that a fixture was not run.
    pub(super) fn not_tried(&mut self, fixture: &Fixture, hindrance: Hindrance) {
        self.not_tried += 1;
        match hindrance {
            Hindrance::NotApplicable(why) => self.not_applicable.push(untried(fixture, None, why)),
            Hindrance::NotRunnable(why) => self.not_runnable.push(untried(fixture, None, why)),
        }
    }

    /// Records that a fixture was run, but not under this rule.
    pub(super) fn rule_is_off(&mut self, fixture: &Fixture, rule: Rule, why: String) {
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

fn told(verdict: Verdict) -> String {
    let what = match verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Drop(_) => "drop",
    };
    format!("{what} ({})", verdict.reason())
}
