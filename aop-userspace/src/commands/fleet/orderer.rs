//! Gives an order, and follows it on the hosts until it lasts or stops.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::bail;
use aop_api::{Order, OrderedHosts, OrderedWave, OriginReport, Request, StoppedHost};
use aop_config::{FleetConfig, FleetName, OperatorKey};
use aop_fleet::{
    FleetClient, WaveProgress, WaveWatch,
    orders::{MAX_AHEAD, OperatorSecret, SignedOrder},
};
use aop_types::shorten;
use jiff::{SignedDuration, Timestamp};

use super::progress_line::ProgressLine;
use crate::{
    arguments::ConfigFile,
    output::{count, terminal_columns},
};

/// The time between two readings of the hosts.
const POLL: Duration = Duration::from_secs(2);
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
        let mut watch = WaveWatch::begin(&order, hosts, Instant::now());
        let mut line = ProgressLine::new(quiet);
        let mut etcd_seen = Instant::now();
        let mut told: Vec<FleetName> = Vec::new();
        loop {
            sleep(POLL);
            match self.client.hosts() {
                Ok(stored) => {
                    etcd_seen = Instant::now();
                    watch.read(&stored, Instant::now());
                }
                Err(error) if etcd_seen.elapsed() > ETCD_AWAY => bail!(
                    "etcd was away for {} s: {error}. No further wave was ordered, and a host \
                     without a confirmation goes back by itself",
                    ETCD_AWAY.as_secs()
                ),
                Err(error) => {
                    watch.etcd_is_away(Instant::now());
                    line.show(&format!("etcd is away: {error}"));
                    if let Ok((client, _)) = super::connect(&self.file) {
                        self.client = client;
                    }
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
                line.end(&text(&progress, hosts.len()));
                return Ok(OrderedWave {
                    order,
                    lasting: progress.lasting,
                    open: 0,
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
