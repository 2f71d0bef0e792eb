//! Frames per second: SYNs of strangers over a veth pair, dropped by each rival.
//!
//! One CPU sends and receives in turn, so every figure includes the cost of sending. The figure of
//! the program that drops everything is the upper bound for all rivals.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use aop_common::Action;
use aop_config::{AttachPreference, Interfaces};
use aop_firewall as firewall;
use aop_firewall::{
    CounterEntry, DropReader, Firewall, FirewallPolicy, MissingInterface, PacketLog, StartOptions,
};
use aop_packets::{
    Scene,
    build::{Ip, Ipv4, Tcp},
};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{
    host::{BPFFS, Host, IN, tried},
    lists,
    nft::{Hook, Rule},
    programs::{Bare, XDP_DROP, XDP_TX, send},
    xdp_filter::XdpFilter,
};

const FRAMES: u32 = 1_000_000;
const ROUNDS: usize = 4;
/// How often `aop drops` reads the ring buffer.
const POLLED: Duration = Duration::from_millis(100);
const AOP: &str = "aop";
const FOLLOWED: &str = "aop, drops followed";

/// aop on the receiving end. Dropping the value unloads it.
pub(crate) struct Aop {
    firewall: Firewall,
    pins: PathBuf,
}

impl Aop {
    pub(crate) fn guarding(list: &[IpNet]) -> Self {
        let pins = PathBuf::from(BPFFS).join("aop");
        let interfaces = interfaces();
        let setting = StartOptions {
            interfaces: &interfaces,
            attach: AttachPreference::Native,
            pins: &pins,
            log: PacketLog::Off,
            before: &[],
            missing: MissingInterface::Fail,
        };
        let policy = lists::policy(list);
        let firewall = Firewall::start(setting, |_| policy).unwrap();
        Self { firewall, pins }
    }

    /// Replaces the policy.
    pub(crate) fn swap(&mut self, policy: &FirewallPolicy) {
        self.firewall.change(&interfaces(), policy).unwrap();
    }

    /// Does `work` while a thread reads the drops as `aop drops` does.
    fn followed<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut drops = DropReader::follow(&self.pins, 1).unwrap();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut told = 0_u64;
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(POLLED);
                    while drops.next_drop().is_some() {
                        told += 1;
                    }
                }
                told
            });
            let done = work();
            over.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0, "no drop was read");
            done
        })
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.counted(|verdict| verdict.action == Action::Drop)
    }

    /// Packets to a guarded port that passed.
    pub(crate) fn passed(&self) -> u64 {
        self.counted(|verdict| verdict.action != Action::Drop && verdict.reason != "not_guarded")
    }

    fn counted(&self, these: impl Fn(&CounterEntry) -> bool) -> u64 {
        let reading = firewall::read(&self.pins, None).unwrap().unwrap();
        let verdicts = reading.verdicts.iter().filter(|verdict| these(verdict));
        verdicts.map(|verdict| verdict.count.packets).sum()
    }
}

impl Drop for Aop {
    fn drop(&mut self) {
        firewall::unload(&self.pins).unwrap();
    }
}

fn interfaces() -> Interfaces {
    Interfaces::Named(vec![IN.to_owned()])
}

/// A stranger's SYN to the guarded port.
pub(crate) fn stranger() -> Vec<u8> {
    let Scene { v4, guarded, .. } = Scene::FIXED;
    Ipv4::between(v4.stranger, v4.origin).tcp(&Tcp::syn(guarded))
}

/// The program that drops the frames.
#[derive(Clone, Copy)]
enum Rival {
    Everything,
    Aop,
    AopFollowed,
    XdpFilter,
    Nft(Hook),
}

const RIVALS: [Rival; 7] = [
    Rival::Everything,
    Rival::Aop,
    Rival::AopFollowed,
    Rival::XdpFilter,
    Rival::Nft(Hook::Ingress),
    Rival::Nft(Hook::Raw),
    Rival::Nft(Hook::Input),
];

pub(crate) fn measure(host: &Host) -> Value {
    let list = lists::cloudflare();
    let sender = Bare::returning(XDP_TX);
    let mut rates: Vec<Rate> = RIVALS.iter().map(|_| Ok(0.0)).collect();
    // All rivals in turn, several times, so that noise on the machine affects all; the best counts.
    for _ in 0..ROUNDS {
        for (rival, best) in RIVALS.iter().zip(&mut rates) {
            if let Ok(before) = *best {
                *best = rival.rate(host, &sender, &list).map(|rate| rate.max(before));
            }
        }
    }
    let rows: Vec<_> = RIVALS.iter().map(|rival| rival.name()).zip(rates).collect();
    print(&rows)
}

type Rate = Result<f64, String>;

impl Rival {
    fn name(self) -> &'static str {
        match self {
            Self::Everything => "XDP, drops everything",
            Self::Aop => AOP,
            Self::AopFollowed => FOLLOWED,
            Self::XdpFilter => "xdp-filter",
            Self::Nft(hook) => hook.name(),
        }
    }

    fn rate(self, host: &Host, sender: &Bare, list: &[IpNet]) -> Rate {
        Ok(match self {
            Self::Everything => {
                let mut program = Bare::returning(XDP_DROP);
                program.attach(IN);
                flood(host, sender, received)
            }
            Self::Aop => {
                let aop = Aop::guarding(list);
                flood(host, sender, || aop.dropped())
            }
            Self::AopFollowed => {
                let aop = Aop::guarding(list);
                aop.followed(|| flood(host, sender, || aop.dropped()))
            }
            Self::XdpFilter => {
                let _attached = XdpFilter::attach()?;
                flood(host, sender, received)
            }
            Self::Nft(hook) => {
                let rule = Rule::set(hook, list)?;
                flood(host, sender, || rule.dropped())
            }
        })
    }
}

/// Frames per second that reached the rival, which `dropped` counts. A full queue loses other
/// frames before.
fn flood(host: &Host, sender: &Bare, dropped: impl Fn() -> u64) -> f64 {
    let (before, started) = (dropped(), Instant::now());
    send(sender, &stranger(), host.sender, FRAMES);
    let took = started.elapsed().as_secs_f64();
    (dropped() - before) as f64 / took
}

/// Frames that the receiving end took out of its queue.
fn received() -> u64 {
    let text = tried(&format!("ip -json -stats link show dev {IN}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    links.pointer("/0/stats64/rx/packets").and_then(Value::as_u64).unwrap()
}

fn print(rows: &[(&str, Rate)]) -> Value {
    let rate = |name| rows.iter().find(|row| row.0 == name).unwrap().1.clone().unwrap();
    let aop = rate(AOP);
    println!("\n{:<30} {:>12} {:>8}", "strangers dropped per second", "frames", "aop's ×");
    for (name, rate) in rows {
        match rate {
            Ok(rate) => println!("{name:<30} {rate:>12.0} {:>8.2}", aop / rate),
            Err(why) => println!("{why}"),
        }
    }
    println!("with drops followed, relative to without: × {:.2}", rate(FOLLOWED) / aop);
    let figures = rows.iter().map(|(name, rate)| {
        json!({ "what": name, "frames_a_second": rate.as_ref().ok().map(|rate| rate.round()) })
    });
    figures.collect()
}
