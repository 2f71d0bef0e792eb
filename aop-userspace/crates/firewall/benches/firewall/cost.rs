//! Nanoseconds per packet, measured by the kernel.

use std::{thread, time::Duration};

use aop_common::Action;
use aop_config::UdpPolicy;
use aop_firewall::{FirewallPolicy, PacketLog, TestProgram};
use aop_packets::{
    Scene,
    build::{Extension, Ip, Ipv4, Ipv6, Tcp},
};
use serde_json::{Value, json};

use crate::{
    host::Host,
    lists,
    programs::{Bare, XDP_PASS, repeat},
    xdp_filter::XdpFilter,
};

const TIMES: u32 = 500_000;
const ROUNDS: usize = 9;
/// The index of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;

/// The best of all rounds for one frame, for each program.
#[derive(Clone, Copy)]
struct Best {
    empty: Duration,
    aop: Duration,
    long: Duration,
    options: Duration,
    xdp_filter: Duration,
}

const NOTHING: Best = Best {
    empty: Duration::MAX,
    aop: Duration::MAX,
    long: Duration::MAX,
    options: Duration::MAX,
    xdp_filter: Duration::MAX,
};

/// A frame and its expected actions: with the default policy, and with every option on.
struct Row {
    name: &'static str,
    frame: Vec<u8>,
    owed: Action,
    with_options: Action,
}

pub(crate) fn measure(_: &Host) -> Value {
    let list = lists::long(0);
    let trial = |policy: &FirewallPolicy| TestProgram::new(policy, 0, PacketLog::Off).unwrap();
    let plain = lists::policy(&lists::cloudflare());
    // The smallest probation budget, so that strangers are dropped, and a network budget that no
    // frame exceeds.
    let on = FirewallPolicy {
        probation: 1,
        budget: 1_000_000_000,
        udp: UdpPolicy::Drop,
        ..plain.clone()
    };
    let (mut aop, mut long) = (trial(&plain), trial(&lists::policy(&list)));
    let mut options = WithOptions { trial: trial(&on), others: 0 };
    let empty = Bare::returning(XDP_PASS);
    let filter = XdpFilter::attach();

    // All programs run each frame in turn, so that noise on the machine affects all of them.
    let mut rows = Vec::new();
    for Row { name, frame, owed, with_options } in frames() {
        let mut best = NOTHING;
        for _ in 0..ROUNDS {
            for (trial, best) in [(&mut aop, &mut best.aop), (&mut long, &mut best.long)] {
                let (verdict, took) = trial.repeat(&frame, LOOPBACK, TIMES).unwrap();
                assert_eq!(verdict, owed, "{name}");
                *best = took.min(*best);
            }
            best.options = best.options.min(options.repeat(name, &frame, with_options));
            best.empty = best.empty.min(repeat(empty.program(), &frame, TIMES));
            if let Ok(filter) = &filter {
                best.xdp_filter = best.xdp_filter.min(filter.repeat(&frame, TIMES));
            }
        }
        rows.push((name, best));
    }
    print(&rows, list.len(), filter.as_ref().err());
    let instructions = aop.verified_instructions().unwrap_or_default();
    println!("best of {ROUNDS} rounds of {TIMES}; {instructions} verified instructions");
    rows.iter().map(|(name, best)| figures(name, *best, filter.is_ok())).collect()
}

/// The program with every optional rule on.
struct WithOptions {
    trial: TestProgram,
    /// How many other strangers have been sent.
    others: u16,
}

impl WithOptions {
    fn repeat(&mut self, name: &str, frame: &[u8], owed: Action) -> Duration {
        if owed == Action::Drop {
            self.spend_the_tries();
        }
        let (verdict, took) = self.trial.repeat(frame, LOOPBACK, TIMES).unwrap();
        assert_eq!(verdict, owed, "{name}, with every option");
        took
    }

    /// Sends frames of other strangers until one of them has spent the probation budget of this
    /// second. The measurement ends before the budget refills.
    fn spend_the_tries(&mut self) {
        let Scene { v4, guarded, .. } = Scene::FIXED;
        for _ in 0..500 {
            let [high, low] = self.others.to_be_bytes();
            self.others += 1;
            let other = Ipv4::between([100, 64 | high, low, 1], v4.origin).tcp(&Tcp::syn(guarded));
            if self.trial.repeat(&other, LOOPBACK, 1).unwrap().0 == Action::Pass {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("no stranger got probation");
    }
}

fn frames() -> [Row; 8] {
    let Scene { v4, v6, guarded, unguarded } = Scene::FIXED;
    let over_v4 = |source, port| Ipv4::between(source, v4.origin).tcp(&Tcp::syn(port));
    let over_v6 = |source, port| Ipv6::between(source, v6.origin).tcp(&Tcp::syn(port));
    let chain = (0..3)
        .fold(Ipv6::between(v6.stranger, v6.origin), |ip, _| ip.with(Extension::destination(0)));
    let udp = Ipv4::between(v4.stranger, v4.origin).udp(guarded);
    let row = |name, frame, owed| Row { name, frame, owed, with_options: owed };
    [
        row("IPv4, another port", over_v4(v4.stranger, unguarded), Action::Pass),
        row("IPv4, admitted", over_v4(v4.admitted, guarded), Action::Pass),
        row("IPv4, stranger", over_v4(v4.stranger, guarded), Action::Drop),
        Row { with_options: Action::Drop, ..row("IPv4, stranger, UDP", udp, Action::Pass) },
        row("IPv6, another port", over_v6(v6.stranger, unguarded), Action::Pass),
        row("IPv6, admitted", over_v6(v6.admitted, guarded), Action::Pass),
        row("IPv6, stranger", over_v6(v6.stranger, guarded), Action::Drop),
        row("IPv6, stranger, 3 extensions", chain.tcp(&Tcp::syn(guarded)), Action::Drop),
    ]
}

fn print(rows: &[(&str, Best)], long: usize, left_out: Option<&String>) {
    println!(
        "{:<30} {:>6} {:>6} {:>9} {:>10} {:>8} {:>11} {:>8}",
        "ns per packet",
        "empty",
        "aop",
        "aop adds",
        "long list",
        "options",
        "xdp-filter",
        "aop's ×"
    );
    for (name, best) in rows {
        let [empty, aop, long, options] =
            [best.empty, best.aop, best.long, best.options].map(|it| it.as_nanos() as i64);
        let (filter, ratio) = match left_out {
            None => (best.xdp_filter.as_nanos().to_string(), format!("{:.2}", best.ratio())),
            Some(_) => ("-".to_owned(), "-".to_owned()),
        };
        let [adds, longer, options] = [aop - empty, long - aop, options - aop];
        println!(
            "{name:<30} {empty:>6} {aop:>6} {adds:>9} {longer:>+10} {options:>+8} {filter:>11} \
             {ratio:>8}"
        );
    }
    println!("long list: the cost of {long} prefixes, added to that of aop");
    println!("options: the cost of probation_syn, budget_syn and udp = \"drop\", added likewise");
    if let Some(why) = left_out {
        println!("{why}");
    }
}

impl Best {
    fn ratio(&self) -> f64 {
        self.aop.as_secs_f64() / self.xdp_filter.as_secs_f64()
    }
}

fn figures(name: &str, best: Best, filtered: bool) -> Value {
    let nanos = |took: Duration| took.as_nanos() as u64;
    json!({
        "frame": name,
        "empty": nanos(best.empty),
        "aop": nanos(best.aop),
        "aop_with_the_long_list": nanos(best.long),
        "aop_with_every_option": nanos(best.options),
        "xdp_filter": filtered.then(|| nanos(best.xdp_filter)),
    })
}
