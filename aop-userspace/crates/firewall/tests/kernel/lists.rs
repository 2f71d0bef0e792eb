//! A sequence of lists: only the list in force judges packets, whatever a set held before.

use std::net::{IpAddr, Ipv4Addr};

use aop_common::{
    Action, Mode, Standing,
    layout::{MAX_PREFIXES, Prefix},
};
use aop_firewall::{FirewallPolicy, TestProgram};
use aop_types::{Admission, monotonic_seconds};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::{
    host::{Forwarding, in_a_host_that_forwards},
    policy, syn_from, trial,
};

/// The number of addresses in 192.0.2.0/27, which contains all prefixes.
const ADDRESSES: u32 = 32;

fn address(last: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xc000_0200 | last)
}

fn entry() -> impl Strategy<Value = (IpNet, Prefix)> {
    (0..ADDRESSES, 27u8..=32, any::<bool>()).prop_map(|(last, length, admitted)| {
        let net = IpNet::new(address(last).into(), length).expect("a CIDR").trunc();
        // A draining prefix admits no stranger, whatever its deadline.
        let draining = Prefix { drains_until: u32::MAX - 1 - last };
        (net, if admitted { Prefix::ADMITTED } else { draining })
    })
}

fn of(entries: Vec<(IpNet, Prefix)>) -> FirewallPolicy {
    FirewallPolicy { admission: Admission::from_entries(entries), ..policy(Mode::Enforce) }
}

/// Asserts that each address passes or is dropped as `admission` says.
fn judged_by(trial: &mut TestProgram, admission: &Admission, ifindex: u32) {
    for last in 0..ADDRESSES {
        let source = address(last);
        let standing = admission.standing(IpAddr::V4(source), monotonic_seconds());
        let owed = if standing == Standing::Admitted { Action::Pass } else { Action::Drop };
        let ran = trial.run(&syn_from(source.octets()), ifindex).expect("runs");
        assert_eq!(ran.action, owed, "{source} by {admission:?}");
    }
}

#[test]
fn only_the_last_of_several_lists_counts() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        let mut runner = TestRunner::deterministic();
        for _ in 0..30 {
            let list = vec(entry(), 0..8).new_tree(&mut runner).expect("a list").current();
            let next = of(list);
            trial.apply(&next).expect("applied");
            judged_by(&mut trial, &next.admission, ifindex);
        }
    });
}

#[test]
fn a_list_that_does_not_fit_leaves_the_old_one_in_force() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        let few = of(vec![(IpNet::from(IpAddr::V4(address(1))), Prefix::ADMITTED)]);
        trial.apply(&few).expect("applied");
        // One more than fit; the first ones are those of the test.
        let net = |at: usize| IpNet::from(IpAddr::V4((0xc000_0200 + at as u32).into()));
        let many = of((0..=MAX_PREFIXES).map(|at| (net(at), Prefix::ADMITTED)).collect());
        trial.apply(&many).expect_err("too many");
        judged_by(&mut trial, &few.admission, ifindex);
        let others = of(vec![(IpNet::from(IpAddr::V4(address(2))), Prefix::ADMITTED)]);
        for next in [&others, &few, &others] {
            trial.apply(next).expect("applied");
            judged_by(&mut trial, &next.admission, ifindex);
        }
    });
}
