//! The live budgets that apply to the explained source.
//!
//! The verdict assumes full budgets, so that it does not depend on the moment. This module reports
//! how much of the budgets is left now. It reads the live maps and spends nothing.

use std::net::IpAddr;

use aop_api::{BudgetExemption, BudgetNow, ProbationNow};
use aop_common::{DropReason, PassReason, Standing, Verdict};
use aop_firewall::{Budget, DryRun, Exempt, FirewallError, NetworkBudget, ProbationTry};
use ipnet::IpNet;

/// The budgets that apply to a source, and a sentence about them.
#[derive(Default)]
pub(super) struct LiveBudgets {
    pub(super) budget: Option<BudgetNow>,
    pub(super) probation: Option<ProbationNow>,
    pub(super) text: Option<String>,
}

impl LiveBudgets {
    pub(super) fn read(
        live: &DryRun,
        source: IpAddr,
        verdict: Verdict,
    ) -> Result<Self, FirewallError> {
        let (_, standing) = live.standing(source);
        match verdict {
            Verdict::Pass(PassReason::Admitted) => {
                let Some(budget) = live.budget(source)? else { return Ok(Self::default()) };
                Ok(Self::admitted(source, budget, live.exempt(source)?))
            }
            Verdict::Pass(PassReason::Proven) if standing == Standing::Draining => {
                Ok(Self::default())
            }
            Verdict::Pass(PassReason::Proven | PassReason::Probation)
            | Verdict::Drop(DropReason::UnknownSource) => {
                Ok(live.probation(source)?.map_or_else(Self::default, Self::stranger))
            }
            Verdict::Pass(PassReason::NotGuarded | PassReason::Transit) | Verdict::Drop(_) => {
                Ok(Self::default())
            }
        }
    }

    fn admitted(source: IpAddr, now: NetworkBudget, exempt: Option<Exempt>) -> Self {
        let NetworkBudget { own, host } = now;
        let network = network(source);
        let text = match exempt {
            Some(Exempt::Source) => "it has authenticated, so no budget limits it".to_owned(),
            Some(Exempt::Network) => {
                format!("a peer in {network} authenticated recently, so no budget limits it")
            }
            None if own.is_spent() => {
                format!("{network} is over its budget ({}): {OVER}", rest(own))
            }
            None if host.is_spent() => format!(
                "the budget that all networks without a peer share is spent ({}): {OVER}",
                rest(host)
            ),
            None => format!("{network} has a budget: {}", rest(own)),
        };
        let exempt = exempt.map(|exempt| match exempt {
            Exempt::Source => BudgetExemption::Source,
            Exempt::Network => BudgetExemption::Network,
        });
        let over = exempt.is_none() && (own.is_spent() || host.is_spent());
        let (per_second, host_left, left) = (own.rate, left(host), left(own));
        let budget = BudgetNow { network, per_second, left, host_left, over, exempt };
        Self { budget: Some(budget), probation: None, text: Some(sentence(&text)) }
    }

    fn stranger(ProbationTry { budget, tried_for, trusted_for }: ProbationTry) -> Self {
        let text = match (trusted_for, tried_for) {
            (Some(seconds), _) => {
                format!("it has authenticated, and is trusted for {seconds} s more")
            }
            (None, Some(seconds)) => {
                format!("it is on probation: it may authenticate within {seconds} s")
            }
            (None, None) if budget.is_spent() => {
                format!("the probation budget of strangers is spent ({}): {OVER}", rest(budget))
            }
            (None, None) => {
                format!("strangers share a probation budget: {}", rest(budget))
            }
        };
        let probation = ProbationNow {
            per_second: budget.rate,
            left: left(budget),
            over: trusted_for.is_none() && tried_for.is_none() && budget.is_spent(),
            tried_for_seconds: tried_for,
            trusted_for_seconds: trusted_for,
        };
        Self { budget: None, probation: Some(probation), text: Some(sentence(&text)) }
    }
}

const OVER: &str = "a new connection at this moment is dropped";

fn left(budget: Budget) -> f64 {
    budget.millis as f64 / 1000.0
}

fn rest(budget: Budget) -> String {
    format!("{:.1} of {} new connections a second are left", left(budget), budget.rate)
}

fn sentence(text: &str) -> String {
    format!("Now: {text}.")
}

/// The network whose budget applies to `source`.
fn network(source: IpAddr) -> String {
    let bits = if source.is_ipv4() { 24 } else { 48 };
    IpNet::new(source, bits).map_or_else(|_| source.to_string(), |net| net.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_host(own: u64, host: u64) -> NetworkBudget {
        NetworkBudget {
            own: Budget { rate: 3, millis: own },
            host: Budget { rate: 192, millis: host },
        }
    }

    fn source(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_is_over_its_budget_only_when_less_than_one_connection_is_left() {
        let now = LiveBudgets::admitted(source("192.0.2.7"), with_host(2500, 192_000), None);
        let budget = now.budget.expect("it has one");
        assert_eq!(
            (budget.network.as_str(), budget.left, budget.over),
            ("192.0.2.0/24", 2.5, false)
        );
        assert!(now.text.is_some_and(|text| text.contains("2.5 of 3")));
        let now = LiveBudgets::admitted(source("2001:db8:1:2::7"), with_host(900, 192_000), None);
        let budget = now.budget.expect("it has one");
        assert_eq!((budget.network.as_str(), budget.over), ("2001:db8:1::/48", true));
        assert!(
            now.text.is_some_and(|text| text.contains("over its budget") && text.contains(OVER))
        );
    }

    #[test]
    fn a_network_with_a_budget_left_is_over_when_the_shared_budget_is_spent() {
        let now = LiveBudgets::admitted(source("192.0.2.7"), with_host(3000, 999), None);
        let budget = now.budget.expect("it has one");
        assert_eq!((budget.left, budget.host_left, budget.over), (3.0, 0.999, true));
        assert!(
            now.text.is_some_and(|text| text.contains("share is spent") && text.contains(OVER))
        );
    }

    #[test]
    fn an_exempt_source_is_never_over_budget() {
        let spent = with_host(0, 0);
        for (exempt, name) in
            [(Exempt::Source, BudgetExemption::Source), (Exempt::Network, BudgetExemption::Network)]
        {
            let now = LiveBudgets::admitted(source("192.0.2.7"), spent, Some(exempt));
            let budget = now.budget.expect("it has one");
            assert_eq!((budget.exempt, budget.over), (Some(name), false));
        }
    }

    #[test]
    fn a_stranger_on_probation_or_trusted_is_not_limited_by_the_shared_budget() {
        let budget = Budget { rate: 5, millis: 0 };
        let none = ProbationTry { budget, tried_for: None, trusted_for: None };
        let over = |it| LiveBudgets::stranger(it).probation.map(|probation| probation.over);
        assert_eq!(over(none), Some(true));
        assert_eq!(over(ProbationTry { tried_for: Some(9), ..none }), Some(false));
        assert_eq!(over(ProbationTry { trusted_for: Some(9), ..none }), Some(false));
    }
}
