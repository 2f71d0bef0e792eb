//! Which shapes and rules of the packet table apply on this host.

use std::{collections::HashMap, net::IpAddr};

use aop_common::{AddressFamily, Standing};
use aop_firewall::{DryRun, FirewallError};
use aop_packets::{Fixture, Rule, Sender};

use super::{BudgetState, SkipReason, addresses::ProofAddresses};
use crate::frame::FrameAddresses;

/// The state of the host on which verdicts depend.
pub(super) struct ProofHost {
    pub(super) addresses: ProofAddresses,
    enabled: EnabledRules,
    sources: HashMap<IpAddr, ProofSource>,
}

/// Whether each optional rule is on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EnabledRules {
    pub(super) udp: bool,
    pub(super) probation: bool,
    pub(super) budgets: bool,
}

/// The state of a source of the table on this host.
#[derive(Clone, Copy)]
struct ProofSource {
    standing: Standing,
    authenticated: bool,
    exempt: bool,
}

impl ProofHost {
    pub(super) fn new(
        live: &DryRun,
        addresses: ProofAddresses,
        fixtures: &[Fixture],
    ) -> Result<Self, FirewallError> {
        let enabled = EnabledRules {
            udp: live.drops_udp(),
            probation: live.gives_probation(),
            budgets: live.has_budgets(),
        };
        let mut sources = HashMap::new();
        for address in
            fixtures.iter().filter_map(|fixture| FrameAddresses::read(&fixture.frame).source)
        {
            let (_, standing) = live.standing(address);
            let authenticated = live.authenticated(address);
            let exempt = live.exempt(address)?.is_some();
            sources.insert(address, ProofSource { standing, authenticated, exempt });
        }
        Ok(Self { addresses, enabled, sources })
    }

    /// The reason why a fixture is not tried here, if there is one.
    pub(super) fn skips(&self, fixture: &Fixture) -> Option<SkipReason> {
        if fixture.frame.len() < DryRun::SHORTEST {
            let why = format!("the kernel does not run frames under {} bytes", DryRun::SHORTEST);
            return Some(SkipReason::NotRunnable(why));
        }
        let missing = fixture.needs.iter().find_map(|need| self.addresses.missing.get(need));
        let why = missing.cloned().or_else(|| self.stands_otherwise(fixture).map(str::to_owned));
        why.map(SkipReason::NotApplicable)
    }

    /// The reason why a source address that is fixed in the shape does not behave as the table
    /// assumes, if there is one.
    fn stands_otherwise(&self, fixture: &Fixture) -> Option<&'static str> {
        let source = self.source_of(fixture).filter(|_| fixture.sender == Sender::Source)?;
        match source.standing {
            Standing::Draining => Some("its source is in a draining prefix"),
            Standing::Unknown if source.authenticated && self.enabled.probation => {
                Some("its source has authenticated")
            }
            Standing::Admitted | Standing::Unknown => None,
        }
    }

    /// The state of the budgets for each run of this fixture.
    pub(super) fn budget_states(&self, fixture: &Fixture) -> Vec<BudgetState> {
        let bears_on = |rule| fixture.under.iter().any(|(it, _)| *it == rule);
        let spends = self.source_of(fixture).is_some_and(|source| {
            let of_its_network = self.enabled.budgets && !source.exempt && bears_on(Rule::Spent);
            let of_strangers = self.enabled.probation
                && source.standing != Standing::Admitted
                && bears_on(Rule::Probation);
            of_its_network || of_strangers
        });
        if spends { vec![BudgetState::Full, BudgetState::Spent] } else { vec![BudgetState::Full] }
    }

    /// Whether a rule applies to this run of a fixture.
    pub(super) fn applies(&self, rule: Rule, fixture: &Fixture, budgets: BudgetState) -> bool {
        let source = self.source_of(fixture);
        match rule {
            Rule::Listed => source.is_some_and(|source| source.standing == Standing::Admitted),
            Rule::Probation => {
                budgets == BudgetState::Full && self.why_off(rule, fixture).is_none()
            }
            Rule::Spent => budgets == BudgetState::Spent && self.why_off(rule, fixture).is_none(),
            Rule::Trusted | Rule::Udp | Rule::Forwarding => self.why_off(rule, fixture).is_none(),
        }
    }

    /// The reason why a rule never applies to this fixture here, if there is one.
    pub(super) fn why_off(&self, rule: Rule, fixture: &Fixture) -> Option<String> {
        let among =
            |families: &[AddressFamily]| fixture.family.is_some_and(|it| families.contains(&it));
        let exempt = || self.source_of(fixture).is_some_and(|source| source.exempt);
        let EnabledRules { udp, probation, budgets } = self.enabled;
        let ProofAddresses { trusted, forwarded, .. } = &self.addresses;
        let why = match rule {
            Rule::Probation | Rule::Trusted if !probation => {
                "strangers get no probation: admission.probation_syn is 0"
            }
            Rule::Trusted if !among(trusted) => "its trust expired: admission.trust",
            Rule::Spent if !budgets => "networks have no budget: admission.budget_syn is 0",
            Rule::Spent if exempt() => "a peer in its network authenticated recently",
            Rule::Udp if !udp => "UDP passes: firewall.udp",
            Rule::Forwarding if !among(forwarded) => {
                let family = fixture.family.map_or("IP", AddressFamily::name);
                return Some(format!("this host does not forward {family}"));
            }
            Rule::Probation
            | Rule::Trusted
            | Rule::Spent
            | Rule::Udp
            | Rule::Forwarding
            // Not a setting: it depends on the list, which every host has.
            | Rule::Listed => return None,
        };
        Some(why.to_owned())
    }

    fn source_of(&self, fixture: &Fixture) -> Option<ProofSource> {
        self.sources.get(&FrameAddresses::read(&fixture.frame).source?).copied()
    }
}

#[cfg(test)]
impl ProofHost {
    /// A host in this scene.
    pub(super) fn of_scene(
        scene: &aop_packets::Scene,
        enabled: EnabledRules,
        rules: &[Rule],
        fixtures: &[Fixture],
    ) -> Self {
        use aop_common::Facts;

        let families =
            |rule| if rules.contains(&rule) { AddressFamily::BOTH.to_vec() } else { vec![] };
        let addresses = ProofAddresses {
            scene: *scene,
            missing: std::collections::BTreeMap::new(),
            forwarded: families(Rule::Forwarding),
            trusted: families(Rule::Trusted),
        };
        let facts = scene.facts();
        let source = |fixture: &Fixture| {
            let address = FrameAddresses::read(&fixture.frame).source?;
            let wire = match address {
                IpAddr::V4(address) => address.octets().into(),
                IpAddr::V6(address) => address.octets().into(),
            };
            let (standing, authenticated) = (facts.standing(wire), facts.authenticated(wire));
            Some((address, ProofSource { standing, authenticated, exempt: authenticated }))
        };
        Self { addresses, enabled, sources: fixtures.iter().filter_map(source).collect() }
    }
}
