//! Reads all that the hosts have written, page by page, in one state of etcd. etcd may be compacted
//! meanwhile: then that state is gone, and the reading begins again.

use crate::{
    FleetError, StoredFleet,
    process::Reason,
    reader::{FleetEntry, FleetPage, FleetPart, PageRequest},
};

/// More pages of one part than a fleet has.
const MAX_PAGES: usize = 1000;
/// The attempts to read all in one state. etcd is compacted every few minutes, and a reading takes
/// seconds.
const ATTEMPTS: usize = 5;

/// Reads the pages that `page` gets; `None` stands for a state of etcd that is gone.
pub(crate) fn read(
    mut page: impl FnMut(PageRequest) -> Result<Option<FleetPage>, FleetError>,
) -> Result<StoredFleet, FleetError> {
    for _ in 0..ATTEMPTS {
        if let Some(fleet) = read_once(&mut page)? {
            return Ok(fleet);
        }
    }
    Err(FleetError::Etcd(Reason::new(&format!(
        "etcd was compacted {ATTEMPTS} times while the hosts were read: let it compact more seldom"
    ))))
}

fn read_once(
    page: &mut impl FnMut(PageRequest) -> Result<Option<FleetPage>, FleetError>,
) -> Result<Option<StoredFleet>, FleetError> {
    let mut fleet = StoredFleet::default();
    let mut revision = 0;
    for part in [FleetPart::Hosts, FleetPart::Seen, FleetPart::Claims] {
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let Some(mut page) = page(PageRequest { part, after, revision })? else {
                return Ok(None);
            };
            revision = page.revision;
            after = page.last.take();
            take(&mut fleet, page);
            if after.is_none() {
                break;
            }
        }
    }
    Ok(Some(fleet))
}

fn take(fleet: &mut StoredFleet, page: FleetPage) {
    fleet.unreadable += page.unreadable;
    for entry in page.entries {
        match entry {
            FleetEntry::Report(name, report) => {
                fleet.add_report(name, report.map(|report| *report));
            }
            FleetEntry::Seen(name, seen) => {
                fleet.seen.insert(name, seen.at);
            }
            FleetEntry::Claim(name) => {
                fleet.claimed.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of one host, and whether another page follows.
    fn page(name: &str, more: bool, revision: i64) -> FleetPage {
        FleetPage {
            entries: vec![FleetEntry::Claim(name.parse().expect("a name"))],
            unreadable: 0,
            last: more.then(|| name.to_owned()),
            revision,
        }
    }

    #[test]
    fn a_compaction_between_two_pages_begins_the_reading_again_in_a_newer_state() {
        let mut asked = Vec::new();
        let fleet = read(|request| {
            asked.push((request.after.clone(), request.revision));
            Ok(match (request.part, request.after.is_some(), asked.len()) {
                (FleetPart::Hosts, false, 1) => Some(page("old", true, 7)),
                (FleetPart::Hosts, true, 2) => None,
                (FleetPart::Hosts, false, _) => Some(page("web-1", true, 9)),
                (FleetPart::Hosts, true, _) => Some(page("web-2", false, 9)),
                (FleetPart::Seen | FleetPart::Claims, ..) => Some(page("web-3", false, 9)),
            })
        });
        let fleet = fleet.expect("a fleet");
        let names: Vec<_> = fleet.claimed.iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["web-1", "web-2", "web-3"]);
        let revisions: Vec<_> = asked.iter().map(|(_, revision)| *revision).collect();
        assert_eq!(revisions, [0, 7, 0, 9, 9, 9]);
    }

    #[test]
    fn a_state_that_is_gone_each_time_is_an_error() {
        let error = read(|_| Ok(None)).expect_err("no fleet");
        assert!(error.to_string().contains("compacted 5 times"), "{error}");
    }
}
