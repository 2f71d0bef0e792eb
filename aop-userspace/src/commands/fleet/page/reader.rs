//! Reads the fleet while somebody looks: at most every few seconds, for all browsers together.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use aop_api::{FleetPageData, FleetReport};
use aop_config::FleetConfig;
use aop_fleet::{
    FleetClient, FleetError, HostFilter, fleet_identities, fleet_orders, fleet_overview,
    fleet_report,
};
use jiff::Timestamp;
use tokio::{sync::watch, time::timeout};

use super::super::{HostSelection, connect};
use crate::{arguments::ConfigFile, output::error_chain};

/// The time between two readings. Hosts report every ten seconds.
const PERIOD: Duration = Duration::from_secs(5);
/// An older reading is of a time when nobody looked.
const FRESH: Duration = Duration::from_secs(10);

/// The result of the last reading. After one that failed, the fleet is that of the one before.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) data: FleetPageData,
    pub(super) report: Option<Arc<FleetReport>>,
    /// When the reading ended.
    ended: Option<Instant>,
}

/// A thread that reads, and its last reading.
pub(super) struct FleetReader {
    prefix: String,
    wanted: SyncSender<()>,
    readings: watch::Receiver<Arc<Reading>>,
}

impl FleetReader {
    /// Connects to the etcd that `file` names.
    ///
    /// # Errors
    /// The selection or the configuration is wrong, or the process that talks to etcd cannot be
    /// started.
    pub(super) fn start(file: ConfigFile, hosts: &HostSelection) -> anyhow::Result<Self> {
        let (wanted, demand) = sync_channel(1);
        let (told, started) = sync_channel(1);
        let (filter, selection) = (hosts.filter()?, hosts.to_string());
        // The process that talks to etcd dies with the thread that started it.
        thread::Builder::new().name("fleet-reader".to_owned()).spawn(move || {
            let (client, config) = match connect(&file) {
                Ok(connected) => connected,
                Err(error) => return told.send(Err(error)).unwrap_or_default(),
            };
            let data = FleetPageData {
                now: Timestamp::now(),
                prefix: config.prefix.to_string(),
                selection,
                error: None,
                failing_since: None,
                fleet: None,
            };
            let (sender, readings) =
                watch::channel(Arc::new(Reading { data, report: None, ended: None }));
            if told.send(Ok((config.prefix.to_string(), readings))).is_ok() {
                read_on_demand(&demand, &sender, &file, &filter, client, config);
            }
        })?;
        let (prefix, readings) = started.recv().context("the thread that reads has ended")??;
        Ok(Self { prefix, wanted, readings })
    }

    /// The place of the fleet in etcd.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The last reading, or a new one if that is of a time when nobody looked.
    pub(super) async fn latest(&self, patience: Duration) -> Arc<Reading> {
        // A reading that is wanted already is the same one.
        self.wanted.try_send(()).ok();
        let mut readings = self.readings.clone();
        let fresh = |it: &Arc<Reading>| it.ended.is_some_and(|ended| ended.elapsed() < FRESH);
        timeout(patience, readings.wait_for(fresh)).await.ok();
        Arc::clone(&readings.borrow())
    }
}

/// Reads while readings are wanted.
fn read_on_demand(
    demand: &Receiver<()>,
    readings: &watch::Sender<Arc<Reading>>,
    file: &ConfigFile,
    filter: &HostFilter,
    mut client: FleetClient,
    mut config: FleetConfig,
) {
    while demand.recv().is_ok() {
        let mut reading = Reading::clone(&readings.borrow());
        if let Some(ended) = reading.ended {
            thread::sleep(PERIOD.saturating_sub(ended.elapsed()));
        }
        match read(&client, &config, filter) {
            Ok((overview, report)) => {
                reading.data.fleet = Some(overview);
                (reading.data.error, reading.data.failing_since) = (None, None);
                reading.report = Some(Arc::new(report));
            }
            Err(error) => {
                reading.data.failing_since.get_or_insert_with(Timestamp::now);
                reading.data.error = Some(error.to_string());
                // The process may have broken, and the files may be new ones.
                match connect(file) {
                    Ok(connected) => (client, config) = connected,
                    Err(error) => reading.data.error = Some(error_chain(&error)),
                }
            }
        }
        reading.ended = Some(Instant::now());
        readings.send_replace(Arc::new(reading));
    }
}

fn read(
    client: &FleetClient,
    config: &FleetConfig,
    filter: &HostFilter,
) -> Result<(aop_api::FleetOverview, FleetReport), FleetError> {
    let stored_orders = client.orders(0)?;
    let stored = client.hosts()?;
    let at = Timestamp::now();
    let orders = fleet_orders(&stored_orders, &stored, &config.operators);
    let identities = fleet_identities(&stored, filter, None, at);
    let unreadable = stored.unreadable;
    let report = fleet_report(stored, filter, &config.prefix, at);
    Ok((fleet_overview(&report, identities, orders, unreadable), report))
}
