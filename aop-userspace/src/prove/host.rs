//! What of the table applies on this host.

use std::{collections::HashMap, net::IpAddr};

use aop_common::{AddressFamily, Bytes, Segment, Standing};
use aop_packets::{Fixture, Rule, Sender};

use super::{Budgets, Hindrance, scene::Actors};
use crate::firewall::{FirewallError, Live};

/// The host, as far as verdicts depend on it.
pub(super) struct Host {
    pub(super) actors: Actors,
    settings: Settings,
    sources: HashMap<IpAddr, Source>,
}

/// The optional rules.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub(super) udp: bool,
    pub(super) probation: bool,
    pub(super) budgets: bool,
}

/// How a source of the table stands here.
#[derive(Clone, Copy)]
struct Source {
    standing: Standing,
    authenticated: bool,
    exempt: bool,
}

impl Host {
    pub(super) fn new(
        live: &Live,
        actors: Actors,
        fixtures: &[Fixture],
    ) -> Result<Self, FirewallError> {
        let settings = Settings {
            udp: live.drops_udp(),
            probation: live.gives_probation(),
            budgets: live.has_budgets(),
        };
        let mut sources = HashMap::new();
        for address in fixtures.iter().filter_map(|fixture| source(&fixture.frame)) {
            let (_, standing) = live.standing(address);
            let authenticated = live.authenticated(address);
            let exempt = live.exempt(address)?.is_some();
            sources.insert(address, Source { standing, authenticated, exempt });
        }
        Ok(Self { actors, settings, sources })
    }

    /// Why a fixture is not tried here, if it is not.
    pub(super) fn hinders(&self, fixture: &Fixture) -> Option<Hindrance> {
        if fixture.frame.len() < Live::SHORTEST {
            let why = format!("the kernel runs no frame of fewer than {} bytes", Live::SHORTEST);
            return Some(Hindrance::NotRunnable(why));
        }
        let missing = fixture.needs.iter().find_map(|need| self.actors.missing.get(need));
        let why = missing.cloned().or_else(|| self.stands_otherwise(fixture).map(str::to_owned));
        why.map(Hindrance::NotApplicable)
    }

    /// What is unusual of a source that the shape itself spells.
    fn stands_otherwise(&self, fixture: &Fixture) -> Option<&'static str> {
        let source = self.source_of(fixture).filter(|_| fixture.sender == Sender::Source)?;
        match source.standing {
            Standing::Draining => Some("its source lies in a prefix that drains"),
            Standing::Unknown if source.authenticated && self.settings.probation => {
                Some("its source has authenticated")
            }
            Standing::Admitted | Standing::Unknown => None,
        }
    }

    /// How much is to be left of the budgets, once for each run of this fixture.
    pub(super) fn budgets(&self, fixture: &Fixture) -> Vec<Budgets> {
        let bears_on = |rule| fixture.under.iter().any(|(it, _)| *it == rule);
        let spends = self.source_of(fixture).is_some_and(|source| {
            let of_its_network = self.settings.budgets && !source.exempt && bears_on(Rule::Spent);
            let of_strangers = self.settings.probation
                && source.standing != Standing::Admitted
                && bears_on(Rule::Probation);
            of_its_network || of_strangers
        });
        if spends { vec![Budgets::Full, Budgets::Spent] } else { vec![Budgets::Full] }
    }

    /// Whether a rule holds for this run of a fixture.
    pub(super) fn holds(&self, rule: Rule, fixture: &Fixture, budgets: Budgets) -> bool {
        let source = self.source_of(fixture);
        match rule {
            Rule::Listed => source.is_some_and(|source| source.standing == Standing::Admitted),
            Rule::Probation => budgets == Budgets::Full && self.lacks(rule, fixture).is_none(),
            Rule::Spent => budgets == Budgets::Spent && self.lacks(rule, fixture).is_none(),
            Rule::Trusted | Rule::Udp | Rule::Forwarding => self.lacks(rule, fixture).is_none(),
        }
    }

    /// Why a rule never holds for this fixture here, if it does not.
    pub(super) fn lacks(&self, rule: Rule, fixture: &Fixture) -> Option<String> {
        let among =
            |families: &[AddressFamily]| fixture.family.is_some_and(|it| families.contains(&it));
        let exempt = || self.source_of(fixture).is_some_and(|source| source.exempt);
        let Settings { udp, probation, budgets } = self.settings;
        let why = match rule {
            Rule::Probation | Rule::Trusted if !probation => {
                "strangers are given no tries: admission.probation_syn is 0"
            }
            Rule::Trusted if !among(&self.actors.trusted) => "its trust is over: admission.trust",
            Rule::Spent if !budgets => "networks have no budget: admission.budget_syn is 0",
            Rule::Spent if exempt() => "somebody has lately authenticated in its network",
            Rule::Udp if !udp => "UDP is passed: firewall.udp",
            Rule::Forwarding if !among(&self.actors.forwarded) => {
                let family = fixture.family.map_or("IP", AddressFamily::name);
                return Some(format!("this host does not forward {family}"));
            }
            Rule::Probation
            | Rule::Trusted
            | Rule::Spent
            | Rule::Udp
            | Rule::Forwarding
            // It is another way to the same list, not a setting.
            | Rule::Listed => return None,
        };
        Some(why.to_owned())
    }

    fn source_of(&self, fixture: &Fixture) -> Option<Source> {
        self.sources.get(&source(&fixture.frame)?).copied()
    }
}

/// The source of a frame, where it has one.
pub(super) fn source(frame: &[u8]) -> Option<IpAddr> {
    Segment::read(&Bytes(frame)).flow().map(|flow| flow.source.into())
}

#[cfg(test)]
impl Host {
    /// The host of a scene.
    pub(super) fn of_scene(
        scene: &aop_packets::Scene,
        settings: Settings,
        rules: &[Rule],
        fixtures: &[Fixture],
    ) -> Self {
        use aop_common::Facts;

        let families =
            |rule| if rules.contains(&rule) { AddressFamily::BOTH.to_vec() } else { vec![] };
        let actors = Actors {
            scene: *scene,
            missing: std::collections::BTreeMap::new(),
            forwarded: families(Rule::Forwarding),
            trusted: families(Rule::Trusted),
        };
        let facts = scene.facts();
        let source = |fixture: &Fixture| {
            let address = source(&fixture.frame)?;
            let wire = match address {
                IpAddr::V4(address) => address.octets().into(),
                IpAddr::V6(address) => address.octets().into(),
            };
            let (standing, authenticated) = (facts.standing(wire), facts.authenticated(wire));
            Some((address, Source { standing, authenticated, exempt: authenticated }))
        };
        Self { actors, settings, sources: fixtures.iter().filter_map(source).collect() }
    }
}
