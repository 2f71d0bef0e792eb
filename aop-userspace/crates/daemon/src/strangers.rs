//! The sources that no prefix admits, over days: `aop strangers`.
//!
//! The packet path records them in a map. Every ten seconds, and for each question, they are read
//! into a [`table`]; every five minutes and at a stop the table is stored in `paths.state`.

mod file;
mod rhythm;
mod table;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use aop_api::{StrangerContext, StrangerStatus, StrangersReport, timestamp};
use aop_common::{Action, DropReason};
use aop_firewall::{Firewall, FirewallError, FirewallSnapshot, PeerListing, StrangerReader};
use aop_types::unix_seconds;
use ipnet::IpNet;
use parking_lot::Mutex;
use table::{Place, Record, StrangerTable};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Daemon, background::LastError};

/// How often the map is read.
const PERIOD: Duration = Duration::from_secs(10);
/// How often the table is stored.
const STORE_PERIOD: Duration = Duration::from_secs(300);

/// The strangers that the daemon knows.
pub(super) struct Strangers(Mutex<Known>);

struct Known {
    /// None without a firewall.
    reader: Option<StrangerReader>,
    table: StrangerTable,
}

impl Strangers {
    /// Loads what earlier runs have stored in `state`.
    pub(super) fn begin(state: &Path, firewall: Option<&Firewall>) -> Self {
        let table = file::load(state).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            StrangerTable::default()
        });
        let reader = firewall.map(Firewall::strangers).transpose().unwrap_or_else(|error| {
            tracing::warn!("the sources that no prefix admits are not recorded: {error}");
            None
        });
        Self(Mutex::new(Known { reader, table }))
    }

    /// Reads the map. `counted` reads the counters, after it.
    fn collect(
        &self,
        counted: impl FnOnce() -> Result<u64, FirewallError>,
    ) -> Result<(), FirewallError> {
        let Known { reader: Some(reader), table } = &mut *self.0.lock() else { return Ok(()) };
        let seen = reader.read()?;
        table.count(&seen, unix_seconds());
        reader.remove(table.without_record(seen.iter().map(|seen| seen.id)))?;
        table.compare(counted()?, seen.iter().map(|seen| seen.packets).sum());
        Ok(())
    }
}

impl Daemon {
    /// Runs until `stop`, and stores once more then.
    pub(super) async fn watch_strangers(self: Arc<Self>, stop: CancellationToken) {
        let (mut collecting, mut storing) = (LastError::default(), LastError::default());
        let mut stored = Instant::now();
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = sleep(PERIOD) => false,
            };
            let is_due = stopped || stored.elapsed() >= STORE_PERIOD;
            let daemon = Arc::clone(&self);
            // On a blocking thread: it reads maps by many system calls, and syncs a file.
            let done = spawn_blocking(move || {
                let collected = daemon.collect_strangers().err().map(|error| error.to_string());
                (collected, if is_due { daemon.store_strangers() } else { None })
            });
            let Ok((collected, trouble)) = done.await else { return };
            if let Some(error) = collecting.replace(collected) {
                tracing::warn!("cannot read the sources that no prefix admits: {error}");
            }
            if is_due {
                stored = Instant::now();
                if let Some(trouble) = storing.replace(trouble) {
                    tracing::warn!("{trouble}");
                }
            }
            if stopped {
                return;
            }
        }
    }

    /// Reads what the packet path has recorded, unless another process does.
    fn collect_strangers(&self) -> Result<(), FirewallError> {
        if self.lifecycle.is_handing_over() {
            return Ok(());
        }
        let counted = || {
            let read = self.firewall().map(|firewall| firewall.read(PeerListing::NoPeers));
            Ok(read.transpose()?.flatten().map_or(0, |snapshot| counted(&snapshot)))
        };
        self.strangers.collect(counted)
    }

    /// Stores the table. Returns why that fails.
    fn store_strangers(&self) -> Option<String> {
        let _no_changes = self.policy.exclude_changes();
        if self.lifecycle.is_handing_over() {
            return None;
        }
        self.save_strangers()
    }

    fn save_strangers(&self) -> Option<String> {
        let state = &self.settings.paths.state;
        let table = {
            let known = self.strangers.0.lock();
            known.reader.as_ref()?;
            known.table.clone()
        };
        let error = file::save(state, &table).err()?;
        Some(format!(
            "{}: cannot store the sources that no prefix admits: {error}; correct paths.state, its \
             permissions or its disk",
            state.display()
        ))
    }

    /// Stores the table for a successor. The upgrade has begun, so that nothing is read into it any
    /// more.
    pub(super) fn store_strangers_for_successor(&self) {
        if let Some(trouble) = self.save_strangers() {
            tracing::warn!("{trouble}");
        }
    }

    /// Every stranger on record.
    pub(super) fn strangers(&self) -> Result<StrangersReport, FirewallError> {
        self.collect_strangers()?;
        let (admission, listed_extra) = self.admission();
        let (opened, extra) = {
            let policy = self.policy.read();
            (policy.openings.networks(), policy.live.extra.clone())
        };
        // The table is read before the firewall is locked, as in `collect_strangers`.
        let table = self.strangers.0.lock().table.clone();
        let firewall = self.firewall();
        let (now, published) = (aop_types::monotonic_seconds(), aop_prefixes::snapshot());
        let context = StrangerContext {
            admission: aop_api::AdmissionContext::new(&admission, &listed_extra, &opened, now),
            extra: &extra,
            authenticated: &|address| {
                firewall.as_ref().is_some_and(|firewall| firewall.has_peer(address))
            },
            published: published.list.prefixes(),
        };
        Ok(report(&table, &context))
    }
}

/// The strangers that are stored in `state`, by what `snapshot` and `context` know.
///
/// # Errors
/// The file exists and cannot be used; the error is a sentence.
pub fn stored(state: &Path, context: &StrangerContext<'_>) -> Result<StrangersReport, String> {
    Ok(report(&file::load(state)?, context))
}

/// The packets that were counted as dropped because of their source, in either mode.
fn counted(snapshot: &FirewallSnapshot) -> u64 {
    let names: HashSet<&str> = DropReason::ALL
        .iter()
        .filter(|reason| reason.is_of_source())
        .map(|reason| reason.name())
        .collect();
    let drops = snapshot.verdicts.iter().filter(|it| it.action != Action::Pass);
    drops.filter(|it| names.contains(it.reason)).map(|it| it.count.packets).sum()
}

fn report(table: &StrangerTable, context: &StrangerContext<'_>) -> StrangersReport {
    let records = table.sources.iter().chain(&table.networks);
    let mut sources: Vec<StrangerStatus> =
        records.map(|(place, record)| source(*place, record, context)).collect();
    sources.sort_by(|one, other| {
        let order = |it: &StrangerStatus| (Reverse(it.packets), Reverse(it.last_seen), it.port);
        order(one).cmp(&order(other)).then_with(|| one.source.cmp(&other.source))
    });
    let proposed = sources.iter().filter(|source| source.is_proposed());
    let proposed: BTreeSet<String> = proposed.map(StrangerStatus::cidr).collect();
    let mut extra: Vec<String> = context.extra.iter().map(IpNet::to_string).collect();
    extra.extend(proposed.into_iter().filter(|cidr| !extra.contains(cidr)).collect::<Vec<_>>());
    StrangersReport {
        sources,
        extra,
        unlisted_packets: table.unlisted,
        unrecorded_packets: table.unrecorded,
    }
}

fn source(place: Place, record: &Record, context: &StrangerContext<'_>) -> StrangerStatus {
    let every_seconds = record.rhythm.every();
    let (admitted_by, known) = context.classify(place.network, every_seconds);
    let network = place.network;
    let single = network.prefix_len() == network.max_prefix_len();
    let address: IpAddr = network.addr();
    StrangerStatus {
        source: if single { address.to_string() } else { network.to_string() },
        port: place.port,
        packets: record.packets,
        connections: record.connections,
        addresses: record.addresses,
        first_seen: timestamp(record.first),
        last_seen: timestamp(record.last),
        action: record.action.clone(),
        reason: record.reason.clone(),
        every_seconds,
        admitted_by,
        known,
    }
}
