//! Reads what all hosts have written, in pages, all in one state of etcd. A value of another
//! form is told as such, and never stops the reading.

use aop_api::OriginReport;
use aop_config::{FleetName, FleetPrefix};
use serde::{Deserialize, Serialize};

use crate::{
    MAX_REPORT,
    etcd::{EtcdClient, EtcdError, KeyValue, end_of_prefix},
    keys,
    publisher::Seen,
};

/// A part of the keys of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FleetPart {
    /// The reports.
    Hosts,
    /// The notes that a host has reported.
    Seen,
    /// The claims of hosts whose name is taken.
    Claims,
}

/// The next page to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageRequest {
    pub(crate) part: FleetPart,
    /// The last key of the page before, without the prefix of the part.
    pub(crate) after: Option<String>,
    /// The state of etcd; 0: the newest.
    pub(crate) revision: i64,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FleetPage {
    pub(crate) entries: Vec<FleetEntry>,
    /// Keys that are of no form of ours.
    pub(crate) unreadable: usize,
    /// The last key, if another page follows.
    pub(crate) last: Option<String>,
    pub(crate) revision: i64,
}

/// The content of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FleetEntry {
    /// A report; `None` if it cannot be read.
    Report(FleetName, Option<Box<OriginReport>>),
    /// A note.
    Seen(FleetName, Seen),
    /// A claim to this name.
    Claim(FleetName),
}

/// Reads a page.
pub(crate) async fn read_page(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    request: &PageRequest,
) -> Result<FleetPage, EtcdError> {
    let base = match request.part {
        FleetPart::Hosts => keys::hosts(prefix),
        FleetPart::Seen => keys::seen(prefix),
        FleetPart::Claims => keys::claims(prefix),
    };
    // The key itself and the smallest character are the next key.
    let from = match &request.after {
        Some(last) => format!("{base}{last}\0"),
        None => base.clone(),
    };
    // A page of the longest reports must fit into one answer.
    let limit = match request.part {
        FleetPart::Hosts => 500,
        FleetPart::Seen | FleetPart::Claims => 5000,
    };
    let end = end_of_prefix(&base);
    let page = etcd.range(from.as_bytes(), &end, limit, request.revision).await?;
    let behind =
        |key: &KeyValue| std::str::from_utf8(&key.key).ok()?.strip_prefix(&base).map(str::to_owned);
    let last = page.keys.last().filter(|_| page.more).and_then(behind);
    let entries = page.keys.iter().filter_map(|key| entry(request.part, &behind(key)?, &key.value));
    let entries: Vec<_> = entries.collect();
    Ok(FleetPage {
        unreadable: page.keys.len() - entries.len(),
        entries,
        last,
        revision: page.revision,
    })
}

fn entry(part: FleetPart, key: &str, value: &[u8]) -> Option<FleetEntry> {
    match part {
        FleetPart::Hosts => {
            Some(FleetEntry::Report(key.parse().ok()?, report(value).map(Box::new)))
        }
        FleetPart::Seen => {
            Some(FleetEntry::Seen(key.parse().ok()?, serde_json::from_slice(value).ok()?))
        }
        FleetPart::Claims => {
            let (name, _) = key.split_once('/')?;
            Some(FleetEntry::Claim(name.parse().ok()?))
        }
    }
}

/// A report of the right form and length. The parent makes its texts safe.
fn report(value: &[u8]) -> Option<OriginReport> {
    (value.len() <= MAX_REPORT).then(|| serde_json::from_slice(value).ok()).flatten()
}
