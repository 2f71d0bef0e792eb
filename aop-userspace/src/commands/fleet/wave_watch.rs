//! Gives an order, and follows it on the hosts until it lasts or stops.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::bail;
use aop_api::{Order, OrderedHosts, OrderedWave, OriginReport, Request, StoppedHost};
use aop_config::{FleetConfig, FleetName, OperatorKey};
use aop_fleet::{
    FleetClient, MORE_ORDERS, SeenHost, StoredFleet, WaveProgress,
    orders::{MAX_AHEAD, OperatorSecret, SignedOrder},
};
use aop_types::shorten;
use jiff::{SignedDuration, Timestamp};

use crate::{
    arguments::ConfigFile,
    output::{count, terminal_columns},
};

/// The time between two readings of the hosts.
const POLL: Duration = Duration::from_secs(2);
/// The time that a host may be missing before it counts as silent: after etcd was away, hosts need
/// a moment to report again.
const MISSING: Duration = Duration::from_secs(20);
/// The time that etcd may be away before the watching ends.
const ETCD_AWAY: Duration = Duration::from_secs(300);
/// Attempts to find a free number.
const ATTEMPTS: u64 = 8;

/// The connection, and the key that signs.
pub(super) struct Orderer {
    pub(super) client: FleetClient,
    pub(super) file: ConfigFile,
    pub(super) config: FleetConfig,
    pub(super) secret: OperatorSecret,
    /// The time for which an order counts.
    pub(super) valid: Duration,
}

impl Orderer {
    /// Signs an order and writes it into etcd.
    ///
    /// `taken` is the highest number of an order that the hosts say to have taken.
    pub(super) fn give(
        &self,
        hosts: OrderedHosts,
        request: Request,
        taken: u64,
    ) -> anyhow::Result<Order> {
        let issued = Timestamp::now();
        let mut order = Order {
            fleet: self.config.prefix.to_string(),
            serial: self.next_serial(issued, taken)?,
            issued,
            expires: issued + SignedDuration::try_from(self.valid)?,
            hosts,
            request,
        };
        for _ in 0..ATTEMPTS {
            let signed = SignedOrder::sign(&order, &self.secret)?;
            if self.client.order(order.serial, &signed, self.valid)? {
                return Ok(order);
            }
            // Another operator gave an order of this number.
            order.serial += 1;
        }
        bail!("other operators give orders all the time: try again")
    }

    /// A number above those of all orders: the time, so that nobody must remember the last one.
    /// The clock of the operator who gave the last order may have been ahead.
    fn next_serial(&self, now: Timestamp, taken: u64) -> anyhow::Result<u64> {
        // A report is no proof: only so much is believed as an honest host can have taken.
        let most = u64::try_from((now + MAX_AHEAD * 2).as_second())?;
        let now = u64::try_from(now.as_second())?;
        let next = if taken > most { now } else { now.max(taken + 1) };
        let stored = self.client.orders(now.saturating_sub(1))?;
        if stored.more {
            bail!("no order was given: {MORE_ORDERS}");
        }
        let mut keys: Vec<OperatorKey> = self.config.operators.clone();
        keys.push(self.secret.public_key());
        let genuine = stored.orders.iter().filter_map(|order| order.signed_by(&keys));
        Ok(genuine.map(|order| order.serial + 1).fold(next, u64::max))
    }

    /// Follows `order` on `hosts` until it is over on all of them. A host that stops it does not
    /// end the watching: the others are followed until they have confirmed or gone back.
    pub(super) fn follow(
        &mut self,
        order: Order,
        hosts: &BTreeMap<FleetName, OriginReport>,
        quiet: bool,
    ) -> anyhow::Result<OrderedWave> {
        let mut watch = Watch::of(hosts);
        let mut line = ProgressLine::new(quiet);
        let mut etcd_seen = Instant::now();
        let mut told: Vec<FleetName> = Vec::new();
        loop {
            sleep(POLL);
            match self.client.hosts() {
                Ok(stored) => {
                    etcd_seen = Instant::now();
                    watch.read(&stored);
                }
                Err(error) if etcd_seen.elapsed() > ETCD_AWAY => bail!(
                    "etcd was away for {} s: {error}. No further wave was ordered, and a host \
                     without a confirmation goes back by itself",
                    ETCD_AWAY.as_secs()
                ),
                Err(error) => {
                    line.show(&format!("etcd is away: {error}"));
                    if let Ok((client, _)) = super::connect(&self.file) {
                        self.client = client;
                    }
                    continue;
                }
            }
            let seen = watch.seen();
            let progress = WaveProgress::of(order.serial, order.issued, Timestamp::now(), &seen);
            for (host, why) in progress.stops.iter().filter(|(host, _)| !told.contains(host)) {
                line.end(&shorten(format!("  {host}: {why}"), terminal_columns()));
            }
            told = progress.stops.iter().map(|(host, _)| host.clone()).collect();
            line.show(&text(&progress, hosts.len()));
            if progress.is_over() {
                line.end(&text(&progress, hosts.len()));
                return Ok(OrderedWave {
                    order,
                    lasting: progress.lasting,
                    open: progress.asked + progress.waiting,
                    stopped: progress.stops.into_iter().map(stopped).collect(),
                });
            }
        }
    }
}

fn stopped((host, why): (FleetName, String)) -> StoppedHost {
    StoppedHost { host: host.to_string(), why }
}

fn text(progress: &WaveProgress, all: usize) -> String {
    let WaveProgress { asked, waiting, lasting, stops } = progress;
    let parts = [
        (*lasting, "done"),
        (*waiting, "waiting for a confirmation"),
        (*asked, "not taken yet"),
        (stops.len(), "stopped"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    format!("  {}: {}", count(all, "host"), parts.join(", "))
}

/// The hosts of a wave, as they were last seen.
struct Watch(BTreeMap<FleetName, WatchedHost>);

struct WatchedHost {
    /// The instance that reported when the order was given.
    instance: String,
    last: SeenHost,
    at: Instant,
}

impl Watch {
    fn of(hosts: &BTreeMap<FleetName, OriginReport>) -> Self {
        let watched = |report: &OriginReport| WatchedHost {
            instance: report.instance.clone(),
            last: SeenHost { orders: report.orders.clone(), doubt: None },
            at: Instant::now(),
        };
        Self(hosts.iter().map(|(name, report)| (name.clone(), watched(report))).collect())
    }

    fn read(&mut self, fleet: &StoredFleet) {
        for (name, host) in &mut self.0 {
            let Some(report) = fleet.reports().get(name) else { continue };
            let report = report.as_ref().ok();
            let other = report.is_some_and(|report| report.instance != host.instance);
            let other = other.then(|| "another host reports under its name now".to_owned());
            let orders = report.map(|report| report.orders.clone()).unwrap_or_default();
            host.last = SeenHost { orders, doubt: fleet.doubt(name).or(other) };
            host.at = Instant::now();
        }
    }

    fn seen(&self) -> BTreeMap<FleetName, Option<SeenHost>> {
        let now = |host: &WatchedHost| (host.at.elapsed() < MISSING).then(|| host.last.clone());
        self.0.iter().map(|(name, host)| (name.clone(), now(host))).collect()
    }
}

/// Progress on standard error: one line that changes on a terminal, and one for each change
/// elsewhere.
struct ProgressLine {
    quiet: bool,
    terminal: bool,
    last: String,
}

impl ProgressLine {
    fn new(quiet: bool) -> Self {
        Self { quiet, terminal: io::stderr().is_terminal(), last: String::new() }
    }

    fn show(&mut self, text: &str) {
        if self.quiet || self.last == text {
            return;
        }
        self.last = text.to_owned();
        if self.terminal {
            eprint!("\r\x1b[K{text}");
            io::stderr().flush().ok();
        } else {
            eprintln!("{text}");
        }
    }

    /// Leaves `text` as a line.
    fn end(&mut self, text: &str) {
        if self.quiet || (!self.terminal && self.last == text) {
            return;
        }
        let back = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{back}{text}");
        self.last.clear();
    }
}
