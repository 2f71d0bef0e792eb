//! Reads what all hosts have written, in pages, all in one state of etcd. A value of another
//! form is told as such, and never stops the reading.

use aop_api::OriginReport;
use aop_config::{FleetName, FleetPrefix};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    MAX_REPORT,
    etcd::{EtcdClient, EtcdError, KeyValue, Wanted, end_of_prefix},
    keys,
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
    /// The first key, as the page before names it.
    pub(crate) from: Option<Vec<u8>>,
    /// The state of etcd; 0: the newest.
    pub(crate) revision: i64,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FleetPage {
    pub(crate) entries: Vec<FleetEntry>,
    /// Keys that are of no form of ours.
    pub(crate) unreadable: usize,
    /// The first key of the next page, if one follows.
    pub(crate) next: Option<Vec<u8>>,
    pub(crate) revision: i64,
}

/// The content of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FleetEntry {
    /// A report; `None` if it cannot be read.
    Report(FleetName, Option<Box<OriginReport>>),
    /// When a host has reported.
    Seen(FleetName, Timestamp),
    /// A claim to this name.
    Claim(FleetName),
}

/// The part of a note that is read.
#[derive(Deserialize)]
struct SeenAt {
    at: Timestamp,
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
    let from = request.from.as_deref().unwrap_or(base.as_bytes());
    // A page of the longest reports that a host makes must fit into one answer.
    let (wanted, limit) = match request.part {
        FleetPart::Hosts => (Wanted::Values, 500),
        FleetPart::Seen => (Wanted::Values, 5000),
        FleetPart::Claims => (Wanted::Keys, 5000),
    };
    let end = end_of_prefix(&base);
    let page = etcd.range(from, &end, wanted, limit, request.revision).await?;
    let behind = |key: &KeyValue| key.key.strip_prefix(base.as_bytes()).map(<[u8]>::to_vec);
    let last = page.keys.last().filter(|_| page.more).and_then(behind);
    let next = last.map(|last| [base.as_bytes(), &key_after(request.part, last)].concat());
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    for key in &page.keys {
        match behind(key).and_then(|behind| entry(request.part, &behind, &key.value)) {
            // One host may write any number of claims to a name.
            Some(claim @ FleetEntry::Claim(_)) if entries.last() == Some(&claim) => {}
            Some(entry) => entries.push(entry),
            None => unreadable += 1,
        }
    }
    Ok(FleetPage { entries, unreadable, next, revision: page.revision })
}

/// The first key that a page after `last` may have. The other claims to a name that is claimed are
/// left out.
fn key_after(part: FleetPart, mut last: Vec<u8>) -> Vec<u8> {
    let name = last.iter().position(|byte| *byte == b'/');
    match name.filter(|_| part == FleetPart::Claims) {
        Some(name) => {
            last.truncate(name);
            last.push(b'/' + 1);
        }
        // The key itself and the smallest character are the next key.
        None => last.push(0),
    }
    last
}

fn entry(part: FleetPart, key: &[u8], value: &[u8]) -> Option<FleetEntry> {
    let name = |key: &[u8]| std::str::from_utf8(key).ok()?.parse().ok();
    match part {
        FleetPart::Hosts => Some(FleetEntry::Report(name(key)?, report(value).map(Box::new))),
        FleetPart::Seen => {
            let SeenAt { at } = serde_json::from_slice(value).ok()?;
            Some(FleetEntry::Seen(name(key)?, at))
        }
        FleetPart::Claims => {
            let slash = key.iter().position(|byte| *byte == b'/')?;
            Some(FleetEntry::Claim(name(key.get(..slash)?)?))
        }
    }
}

/// A report of the right form and length. The parent makes its texts safe.
fn report(value: &[u8]) -> Option<OriginReport> {
    (value.len() <= MAX_REPORT).then(|| serde_json::from_slice(value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_after_the_last_key_and_after_all_claims_to_its_name() {
        let after = |part, key: &[u8]| key_after(part, key.to_vec());
        assert_eq!(after(FleetPart::Hosts, b"web-1"), b"web-1\0");
        // In the order of their bytes, `web-1/` and all behind it are before `web-10`.
        assert_eq!(after(FleetPart::Claims, b"web-1/\xff/a"), b"web-10");
        assert!(b"web-1/\xff\xff"[..] < b"web-10"[..] && b"web-1.a/"[..] < b"web-1/"[..]);
        assert_eq!(after(FleetPart::Claims, b"no-claim"), b"no-claim\0");
    }

    #[test]
    fn a_claim_counts_whatever_its_host_writes_behind_the_name() {
        let claim = FleetEntry::Claim("web-1".parse().expect("a name"));
        assert_eq!(entry(FleetPart::Claims, b"web-1/\xff", b""), Some(claim));
        assert_eq!(entry(FleetPart::Claims, b"\xff/x", b""), None);
        let unreadable = FleetEntry::Report("web-1".parse().expect("a name"), None);
        assert_eq!(entry(FleetPart::Hosts, b"web-1", b""), Some(unreadable));
    }
}
