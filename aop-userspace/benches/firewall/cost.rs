//! Nanoseconds a packet, as the kernel measures them.

use std::time::Duration;

use aop_common::{
    Action,
    corpus::{
        Scene,
        build::{Extension, Ip, Ipv4, Ipv6, Tcp},
    },
};
use aop_userspace::firewall::{PacketLog, Trial};
use serde_json::{Value, json};

use crate::{
    host::Host,
    lists,
    programs::{Bare, XDP_PASS, repeat},
    xdp_filter::XdpFilter,
};

const TIMES: u32 = 500_000;
const ROUNDS: usize = 9;
/// The loopback interface, which every network namespace has as its first.
const LOOPBACK: u32 = 1;

/// The best of all rounds for one frame.
#[derive(Clone, Copy)]
struct Best {
    empty: Duration,
    aop: Duration,
    long: Duration,
    xdp_filter: Duration,
}

const NOTHING: Best = Best {
    empty: Duration::MAX,
    aop: Duration::MAX,
    long: Duration::MAX,
    xdp_filter: Duration::MAX,
};

pub(crate) fn measure(_: &Host) -> Value {
    let list = lists::long(0);
    let trial = |list: &[_]| Trial::new(&lists::policy(list), 0, PacketLog::Off).unwrap();
    let (mut aop, mut long) = (trial(&lists::cloudflare()), trial(&list));
    let empty = Bare::returning(XDP_PASS);
    let filter = XdpFilter::attach();

    // Everything is measured for each frame in turn: a noisy machine is noisy for all.
    let mut rows = Vec::new();
    for (name, frame, action) in frames() {
        let mut best = NOTHING;
        for _ in 0..ROUNDS {
            for (trial, best) in [(&mut aop, &mut best.aop), (&mut long, &mut best.long)] {
                let (verdict, took) = trial.repeat(&frame, LOOPBACK, TIMES).unwrap();
                assert_eq!(verdict, action, "{name}");
                *best = took.min(*best);
            }
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

fn frames() -> [(&'static str, Vec<u8>, Action); 7] {
    let Scene { v4, v6, guarded, unguarded } = Scene::FIXED;
    let over_v4 = |source, port| Ipv4::between(source, v4.origin).tcp(&Tcp::syn(port));
    let over_v6 = |source, port| Ipv6::between(source, v6.origin).tcp(&Tcp::syn(port));
    let chain = (0..3)
        .fold(Ipv6::between(v6.stranger, v6.origin), |ip, _| ip.with(Extension::destination(0)));
    [
        ("IPv4, another port", over_v4(v4.stranger, unguarded), Action::Pass),
        ("IPv4, admitted", over_v4(v4.admitted, guarded), Action::Pass),
        ("IPv4, stranger", over_v4(v4.stranger, guarded), Action::Drop),
        ("IPv6, another port", over_v6(v6.stranger, unguarded), Action::Pass),
        ("IPv6, admitted", over_v6(v6.admitted, guarded), Action::Pass),
        ("IPv6, stranger", over_v6(v6.stranger, guarded), Action::Drop),
        ("IPv6, stranger, 3 extensions", chain.tcp(&Tcp::syn(guarded)), Action::Drop),
    ]
}

fn print(rows: &[(&str, Best)], long: usize, left_out: Option<&String>) {
    println!(
        "{:<30} {:>7} {:>6} {:>9} {:>12} {:>11} {:>8}",
        "ns a packet", "empty", "aop", "aop adds", "long list", "xdp-filter", "aop's ×"
    );
    for (name, best) in rows {
        let [empty, aop, long] = [best.empty, best.aop, best.long].map(|it| it.as_nanos());
        let (filter, ratio) = match left_out {
            None => (best.xdp_filter.as_nanos().to_string(), format!("{:.2}", best.ratio())),
            Some(_) => ("-".to_owned(), "-".to_owned()),
        };
        let (adds, longer) = (aop.saturating_sub(empty), long.saturating_sub(aop));
        println!("{name:<30} {empty:>7} {aop:>6} {adds:>9} {longer:>+12} {filter:>11} {ratio:>8}");
    }
    println!("long list: {long} prefixes, as many as the maps hold; what they add to aop");
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
        "xdp_filter": filtered.then(|| nanos(best.xdp_filter)),
    })
}
