//! The budgets of strangers and of admitted networks without a peer.

use std::time::Instant;

use aop_common::{DropReason, Mode, PassReason, Tally, Verdict, layout::Prefix};
use aop_firewall::FirewallPolicy;
use aop_packets::{
    Scene,
    build::{Ip, Ipv4, Ipv6, Tcp},
};
use aop_types::Admission;

use super::{
    host::{Forwarding, in_a_host_that_forwards},
    policy, trial,
};

#[test]
fn strangers_share_a_probation_budget_and_keep_their_probation() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let mut trial = trial(Mode::Enforce);
        trial.apply(&FirewallPolicy { probation: 2, ..policy(Mode::Enforce) }).expect("applied");
        let mut verdict = |last: u8, frame: fn(&Tcp) -> Tcp| {
            let Scene { v4, guarded, .. } = Scene::FIXED;
            let frame =
                Ipv4::between([198, 51, 100, last], v4.origin).tcp(&frame(&Tcp::syn(guarded)));
            trial.run(&frame, ifindex).expect("runs").moved[0].0
        };
        let tally = |verdict| Tally::of(verdict, Mode::Enforce);
        let tried = tally(Verdict::Pass(PassReason::Probation));
        let dropped = tally(Verdict::Drop(DropReason::UnknownSource));
        let syn = |tcp: &Tcp| tcp.clone();
        let ack = |tcp: &Tcp| tcp.clone().flags(0x10);
        // Without a SYN, no probation begins. Two SYNs begin one each; the third finds the budget
        // spent.
        assert_eq!(verdict(1, ack), dropped);
        assert_eq!((verdict(1, syn), verdict(2, syn)), (tried, tried));
        assert_eq!(verdict(3, syn), dropped);
        // Later packets of those two pass and spend nothing.
        assert_eq!((verdict(1, ack), verdict(2, ack), verdict(1, syn)), (tried, tried, tried));
        // An authenticated peer needs no probation: the departed peer of the scene.
        assert_eq!(verdict(77, ack), tally(Verdict::Pass(PassReason::Proven)));
    });
}

#[test]
fn an_admitted_network_without_a_peer_has_a_budget_and_an_authenticated_peer_has_none() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v4, guarded, .. } = Scene::FIXED;
        let mut trial = trial(Mode::Enforce);
        trial.apply(&FirewallPolicy { budget: 3, ..policy(Mode::Enforce) }).expect("applied");
        let [a, b, c, _] = v4.admitted;
        let mut verdict = |source, flags| {
            let tcp = Tcp::syn(guarded).flags(flags);
            let frame = Ipv4::between(source, v4.origin).tcp(&tcp);
            trial.run(&frame, ifindex).expect("runs").moved[0].0
        };
        let tally = |verdict| Tally::of(verdict, Mode::Enforce);
        let admitted = tally(Verdict::Pass(PassReason::Admitted));
        let over = tally(Verdict::Drop(DropReason::SynBudget));
        for host in 1..=3 {
            assert_eq!(verdict([a, b, c, host], 0x02), admitted, "{host}");
        }
        assert_eq!(verdict([a, b, c, 4], 0x02), over);
        assert_eq!(verdict([a, b, c, 4], 0x10), admitted, "only SYNs are counted");
        assert_eq!(
            verdict([a, b, c ^ 1, 4], 0x02),
            admitted,
            "the next network has its own budget"
        );
    });
}

/// Forged sources in ever new networks each find a full budget.
#[test]
fn all_networks_without_a_peer_share_64_times_the_budget() {
    in_a_host_that_forwards(Forwarding::Off, |ifindex| {
        let Scene { v6, guarded, .. } = Scene::FIXED;
        let all = "2001:db8::/32".parse().expect("a prefix");
        let admission = Admission::from_entries(vec![(all, Prefix::ADMITTED)]);
        let mut trial = trial(Mode::Enforce);
        trial
            .apply(&FirewallPolicy { budget: 1, admission, ..policy(Mode::Enforce) })
            .expect("applied");
        let admitted = Tally::of(Verdict::Pass(PassReason::Admitted), Mode::Enforce);
        let began = Instant::now();
        let passed = (0..1000_u16).filter(|network| {
            let [high, low] = network.to_be_bytes();
            let mut source = [0x20, 0x01, 0x0d, 0xb8, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
            source[4] |= 0x80;
            let frame = Ipv6::between(source, v6.origin).tcp(&Tcp::syn(guarded));
            trial.run(&frame, ifindex).expect("runs").moved[0].0 == admitted
        });
        let passed = passed.count() as f64;
        // An emulated machine takes seconds for this; the budget gains 64 attempts in each.
        let gained = 64.0 * began.elapsed().as_secs_f64();
        assert!((64.0..=65.0 + gained).contains(&passed), "{passed} of 1000, {gained} gained");
    });
}
