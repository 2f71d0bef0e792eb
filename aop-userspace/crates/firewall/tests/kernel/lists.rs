//! Lists in a row: whatever a set held before, packets see the list in force alone.

use std::net::{IpAddr, Ipv4Addr};

use aop_common::{
    Action, Mode, Standing,
    layout::{MAX_PREFIXES, Prefix},
};
use aop_firewall::{Policy, Trial};
use aop_types::{Admission, monotonic_seconds};
use ipnet::IpNet;
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::{
    host::{Forwarding, in_a_host_that_forwards},
    policy, syn_from, trial,
};

/// 192.0.2.0/27, which the prefixes share.
const ADDRESSES: u32 = 32;

fn address(last: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xc000_0200 | last)
}

fn entry() -> impl Strategy<Value = (IpNet, Prefix)> {
    (0..ADDRESSES, 27u8..=32, any::<bool>()).prop_map(|(last, length, admitted)| {
        let net = IpNet::new(address(last).into(), length).expect("a CIDR").trunc();
        // What drains admits no stranger, whenever it ends.
        let draining = Prefix { drains_until: u32::MAX - 1 - last };
        (net, if admitted { Prefix::ADMITTED } else { draining })
    })
}

fn of(entries: Vec<(IpNet, Prefix)>) -> Policy {
    Policy { admission: Admission::from_entries(entries), ..policy(Mode::Enforce) }
}

/// Each address is let in or not, as the list says.
fn judged_by(trial: &mut Trial, admission: &Admission, ifindex: u32) {
    for last in 0..ADDRESSES {
        let source = address(last);
        let standing = admission.standing(IpAddr::V4(source), monotonic_seconds());
        let owed = if standing == Standing::Admitted { Action::Pass } else { Action::Drop };
        let ran = trial.run(&syn_from(source.octets()), ifindex).expect("runs");
        assert_eq!(ran.action, owed, "{source} by {admission:?}");
    }
}

#[test]
fn of_lists_in_a_row_nothing_but_the_last_one_counts() {
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
fn a_set_that_could_not_be_written_leaves_nothing_behind() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        let few = of(vec![(IpNet::from(IpAddr::V4(address(1))), Prefix::ADMITTED)]);
        trial.apply(&few).expect("applied");
        // One more than fit, those of the test among the first.
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
