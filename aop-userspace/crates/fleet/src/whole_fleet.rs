//! Reads all that the hosts have written, page by page, in one state of etcd. etcd may be compacted
//! meanwhile: then that state is gone, and the reading begins again.

use crate::{
    FleetError, StoredFleet,
    process::Reason,
    reader::{FleetEntry, FleetPage, FleetPart, PageRequest},
};

/// The most hosts of a fleet: a reading of more reports would take gigabytes.
pub(crate) const MOST_HOSTS: usize = 20_000;
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
        let (mut from, mut keys) = (None, 0);
        loop {
            let Some(mut page) = page(PageRequest { part, from, revision })? else {
                return Ok(None);
            };
            revision = page.revision;
            from = page.next.take();
            keys += (page.entries.len() + page.unreadable).max(1);
            if keys > MOST_HOSTS {
                return Err(too_many(part));
            }
            take(&mut fleet, page);
            if from.is_none() {
                break;
            }
        }
    }
    Ok(Some(fleet))
}

fn too_many(part: FleetPart) -> FleetError {
    let part = match part {
        FleetPart::Hosts => "hosts",
        FleetPart::Seen => "seen",
        FleetPart::Claims => "claims",
    };
    FleetError::Etcd(Reason::new(&format!(
        "there are more than {MOST_HOSTS} keys below {part}/ of fleet.prefix in etcd, which is more \
         than a fleet has hosts. Delete those that are not of hosts, or give each part of the fleet \
         a prefix and an etcd of its own: docs/fleet.md#how-large"
    )))
}

fn take(fleet: &mut StoredFleet, page: FleetPage) {
    fleet.unreadable += page.unreadable;
    for entry in page.entries {
        match entry {
            FleetEntry::Report(name, report) => {
                fleet.add_report(name, report.map(|report| *report));
            }
            FleetEntry::Seen(name, seen) => {
                fleet.seen.insert(name, seen);
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
            next: more.then(|| name.as_bytes().to_vec()),
            revision,
        }
    }

    #[test]
    fn a_compaction_between_two_pages_begins_the_reading_again_in_a_newer_state() {
        let mut asked = Vec::new();
        let fleet = read(|request| {
            asked.push(request.revision);
            Ok(match (request.part, request.from.is_some(), asked.len()) {
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
        assert_eq!(asked, [0, 7, 0, 9, 9, 9]);
    }

    #[test]
    fn a_state_that_is_gone_each_time_is_an_error() {
        let error = read(|_| Ok(None)).expect_err("no fleet");
        assert!(error.to_string().contains("compacted 5 times"), "{error}");
    }
    #[test]
    fn more_keys_than_a_fleet_has_hosts_are_an_error_and_never_a_part_of_the_fleet() {
        // An endless etcd, and a process that answers nothing but that more follows.
        for entries in [500, 0] {
            let mut pages = 0;
            let error = read(|_| {
                pages += 1;
                let mut page = page("web-1", true, 7);
                page.entries = vec![page.entries[0].clone(); entries];
                Ok(Some(page))
            });
            let error = error.expect_err("no fleet").to_string();
            assert!(error.contains("more than 20000 keys below hosts/"), "{error}");
            assert!(pages <= MOST_HOSTS + 1, "{pages}");
        }
    }

    #[test]
    fn a_report_is_kept_under_its_key_alone() {
        let report = crate::tests::good("web-2");
        let fleet = read(|request| {
            let mut page = page("web-9", false, 7);
            if request.part == FleetPart::Hosts {
                let name = "web-1".parse().expect("a name");
                page.entries = vec![FleetEntry::Report(name, Some(Box::new(report.clone())))];
            }
            Ok(Some(page))
        });
        let fleet = fleet.expect("a fleet");
        let why = fleet.doubt(&"web-1".parse().expect("a name"));
        assert_eq!(why.as_deref(), Some("its report is that of web-2"));
        assert_eq!(fleet.certain_reports().count(), 0);
    }
}
