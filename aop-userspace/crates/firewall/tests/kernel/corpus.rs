//! Runs every shape of the packet table in the kernel: with no rule on, and under every rule.

use aop_common::{Bytes, Mode, Segment};
use aop_config::UdpPolicy;
use aop_firewall::{FirewallPolicy, TestProgram};
use aop_packets::{Fixture, Rule, fixtures};

use super::{SHORTEST, host::Forwarding, in_a_host_that_forwards, owed, policy, trial};

/// New connections per second, if a budget is on.
const RATE: u32 = 5;

/// Runs every fixture under `rules` and compares verdict, reason and counter.
fn all_get_what_they_owe(trial: &mut TestProgram, ifindex: u32, rules: &[Rule]) {
    let rate = |rule| if rules.contains(&rule) { RATE } else { 0 };
    let wanted = FirewallPolicy {
        udp: if rules.contains(&Rule::Udp) { UdpPolicy::Drop } else { UdpPolicy::Pass },
        probation: rate(Rule::Probation),
        budget: rate(Rule::Spent),
        ..policy(Mode::Enforce)
    };
    trial.apply(&wanted).expect("applied");
    let fixtures = fixtures().expect("the data files are sound");
    let mut ran = 0;
    for fixture in fixtures.iter().filter(|it| it.frame.len() >= SHORTEST) {
        let Fixture { frame, place, name, .. } = fixture;
        trial.forget_tries().expect("written");
        trial.fill_budgets().expect("written");
        if let Some(flow) = Segment::read(&Bytes(frame)).flow()
            && rules.contains(&Rule::Spent)
        {
            trial.spend_budgets(flow.source.into()).expect("written");
        }
        let got = trial.run(frame, ifindex).expect("the frame runs");
        let verdict = fixture.expected(|rule| rules.contains(&rule));
        let owed = owed(verdict, Mode::Enforce, frame.len());
        assert_eq!(got, owed, "{place} {name} under {rules:?}");
        ran += 1;
    }
    assert!(ran > 600, "only {ran}");
}

#[test]
fn every_fixture_gets_the_same_verdict_reason_and_counter_in_the_kernel() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        for rules in [&[][..], &[Rule::Udp], &[Rule::Probation, Rule::Trusted], &[Rule::Spent]] {
            all_get_what_they_owe(&mut trial, ifindex, rules);
        }
    });
}

#[test]
fn on_a_forwarding_host_only_packets_to_other_hosts_are_transit() {
    in_a_host_that_forwards(Forwarding::On, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        all_get_what_they_owe(&mut trial, ifindex, &[Rule::Forwarding]);
    });
}
