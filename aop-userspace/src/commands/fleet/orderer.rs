//! Gives an order, and follows it on the hosts until it lasts or stops.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use aop_api::{Order, OrderedHosts, OrderedWave, OriginReport, Request, StoppedHost};
use aop_config::{FleetConfig, FleetName, OperatorKey};
use aop_fleet::{
    FleetClient, FleetError, MORE_ORDERS, WaveProgress, WaveWatch,
    orders::{MAX_AHEAD, OperatorSecret, SignedOrder},
};
use aop_types::shorten;
use jiff::{SignedDuration, Timestamp};

use super::{
    patience::{ETCD_AWAY, Unanswered, until_answered},
    progress_line::ProgressLine,
};
use crate::{
    arguments::ConfigFile,
    output::{count, terminal_columns},
};

/// The time between two readings of the hosts.
const POLL: Duration = Duration::from_secs(2);
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

/// An order that was not given, or is not known to be.
pub(super) struct NotGiven {
    pub(super) why: String,
    /// The order, if it may have been given.
    pub(super) perhaps: Option<Box<Order>>,
}

impl NotGiven {
    fn because(why: &dyn std::fmt::Display) -> Self {
        Self { why: format!("the order was not given: {why}"), perhaps: None }
    }

    fn perhaps(order: Order, why: &FleetError) -> Self {
        let why = format!(
            "order {} may have been given, and is not followed: see `aop fleet orders` once etcd \
             answers ({why})",
            order.serial
        );
        Self { why, perhaps: Some(Box::new(order)) }
    }
}

/// The results of an order while it was followed.
pub(super) struct Followed {
    pub(super) wave: OrderedWave,
    /// Why the following ended before the order was over on all hosts.
    pub(super) ended_early: Option<String>,
}

impl Orderer {
    /// Signs an order and writes it into etcd; while etcd is away, again and again.
    ///
    /// `taken` is the highest number of an order that the hosts say to have taken.
    pub(super) fn give(
        &mut self,
        hosts: OrderedHosts,
        request: Request,
        taken: u64,
        quiet: bool,
    ) -> Result<Order, NotGiven> {
        let mut line = ProgressLine::new(quiet);
        let stored = self.answered(&mut line, ETCD_AWAY, |it| {
            it.client.orders(unix_seconds(Timestamp::now()).saturating_sub(1))
        });
        // Nothing was written yet.
        let stored = stored.map_err(|it| NotGiven::because(&it.why))?;
        if stored.more {
            return Err(NotGiven::because(&MORE_ORDERS));
        }
        let mut keys: Vec<OperatorKey> = self.config.operators.clone();
        keys.push(self.secret.public_key());
        let genuine = stored.orders.iter().filter_map(|order| order.signed_by(&keys));
        let genuine: Vec<u64> = genuine.map(|order| order.serial).collect();
        let issued = Timestamp::now();
        let life = SignedDuration::try_from(self.valid).unwrap_or(SignedDuration::MAX);
        let mut order = Order {
            fleet: self.config.prefix.to_string(),
            serial: next_serial(issued, taken, &genuine),
            issued,
            expires: issued.saturating_add(life).unwrap_or(Timestamp::MAX),
            hosts,
            request,
        };
        // An order that does not count any more is not written.
        let patience = ETCD_AWAY.min(self.valid);
        for _ in 0..ATTEMPTS {
            let signed = SignedOrder::sign(&order, &self.secret)
                .map_err(|error| NotGiven::because(&error))?;
            let written = self.answered(&mut line, patience, |it| {
                it.client.order(order.serial, &signed, it.valid)
            });
            match written {
                Ok(true) => return Ok(order),
                // Another operator gave an order of this number.
                Ok(false) => order.serial = order.serial.saturating_add(1),
                Err(Unanswered { why, may_be_done: false }) => {
                    return Err(NotGiven::because(&why));
                }
                Err(Unanswered { why, may_be_done: true }) => {
                    return Err(NotGiven::perhaps(order, &why));
                }
            }
        }
        Err(NotGiven::because(&"other operators give orders all the time: try again"))
    }

    /// The answer of etcd, which may be away for a time of `patience`.
    fn answered<T>(
        &mut self,
        line: &mut ProgressLine,
        patience: Duration,
        ask: impl Fn(&Self) -> Result<T, FleetError>,
    ) -> Result<T, Unanswered> {
        let until = Instant::now() + patience;
        let answer = until_answered(self, ask, |it, error| {
            line.show(&format!("etcd is away: {error}"));
            sleep(POLL);
            it.connect_again();
            Instant::now() < until
        });
        line.clear();
        answer
    }

    /// The process that talks to etcd may have broken.
    fn connect_again(&mut self) {
        if let Ok((client, _)) = super::connect(&self.file) {
            self.client = client;
        }
    }

    /// Follows `order` on `hosts` until it is over on all of them. A host that stops it does not
    /// end the watching: the others are followed until they have confirmed or gone back.
    pub(super) fn follow(
        &mut self,
        order: Order,
        hosts: &BTreeMap<FleetName, OriginReport>,
        silent: Vec<String>,
        quiet: bool,
    ) -> Followed {
        let mut watch = WaveWatch::begin(&order, hosts, Instant::now());
        let mut line = ProgressLine::new(quiet);
        let mut etcd_seen = Instant::now();
        let mut told: Vec<FleetName> = Vec::new();
        let ended_early = loop {
            sleep(POLL);
            match self.client.hosts() {
                Ok(stored) => {
                    etcd_seen = Instant::now();
                    watch.read(&stored, Instant::now());
                }
                Err(error) if etcd_seen.elapsed() > ETCD_AWAY => {
                    break Some(format!(
                        "etcd was away for {} s while order {} was followed: {error}. A host \
                         without a confirmation goes back by itself",
                        ETCD_AWAY.as_secs(),
                        order.serial
                    ));
                }
                Err(error) => {
                    watch.etcd_is_away(Instant::now());
                    line.show(&format!("etcd is away: {error}"));
                    self.connect_again();
                    continue;
                }
            }
            let progress = watch.progress();
            for (host, why) in progress.stops.iter().filter(|(host, _)| !told.contains(host)) {
                line.end(&shorten(format!("  {host}: {why}"), terminal_columns()));
            }
            told = progress.stops.iter().map(|(host, _)| host.clone()).collect();
            line.show(&text(&progress, hosts.len()));
            if progress.open() == 0 {
                break None;
            }
        };
        let progress = watch.progress();
        line.end(&text(&progress, hosts.len()));
        let wave = OrderedWave {
            order,
            lasting: progress.lasting,
            open: progress.open(),
            silent,
            stopped: progress.stops.into_iter().map(stopped).collect(),
        };
        Followed { wave, ended_early }
    }
}

/// A number above those of all orders: the time, so that nobody must remember the last one. The
/// clock of the operator who gave the last order may have been ahead.
///
/// `taken` is the highest number that hosts say to have taken, and `genuine` are those of genuine
/// orders in etcd.
fn next_serial(now: Timestamp, taken: u64, genuine: &[u64]) -> u64 {
    // A report is no proof: only so much is believed as an honest host can have taken.
    let most = unix_seconds(now).saturating_add(2 * MAX_AHEAD.as_secs().unsigned_abs());
    let now = unix_seconds(now);
    let next = if taken > most { now } else { now.max(taken + 1) };
    genuine.iter().map(|serial| serial.saturating_add(1)).fold(next, u64::max)
}

fn unix_seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or_default()
}

fn stopped((host, why): (FleetName, String)) -> StoppedHost {
    StoppedHost { host: host.to_string(), why }
}

fn text(progress: &WaveProgress, all: usize) -> String {
    let WaveProgress { asked, begun, waiting, lasting, stops } = progress;
    let parts = [
        (*lasting, "done"),
        (*waiting, "waiting for a confirmation"),
        (*begun, "carrying it out"),
        (*asked, "not taken yet"),
        (stops.len(), "stopped"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    format!("  {}: {}", count(all, "host"), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_above_all_genuine_ones_and_a_forged_report_does_not_use_them_up() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        for (taken, genuine, wanted) in [
            (0, &[][..], 1_000_000),
            (1_000_007, &[], 1_000_008),
            (u64::MAX, &[], 1_000_000),
            (0, &[1_000_005, 3], 1_000_006),
            (0, &[u64::MAX], u64::MAX),
        ] {
            assert_eq!(next_serial(now, taken, genuine), wanted, "{taken} {genuine:?}");
        }
    }
}
