use aop_sandbox::Account;
use jiff::{SignedDuration, Timestamp};

use super::*;

fn cloudflare() -> (PrefixSource, ListUrl) {
    let url: ListUrl = "https://mirror.example/ips".parse().expect("a URL");
    (PrefixSource::Cloudflare(url.clone()), url)
}

/// Stores the snapshot plus one prefix, as if confirmed `seconds` after the snapshot.
fn kept(state: &Path, seconds: i64, more: &str) {
    let snapshot = snapshot();
    let mut prefixes = snapshot.list.prefixes().to_vec();
    prefixes.push(more.parse().expect("a CIDR"));
    let confirmed = snapshot.confirmed.map(|at| at + SignedDuration::from_secs(seconds));
    let held = CurrentList {
        list: PrefixList::new(prefixes, None),
        origin: ListOrigin::Fetched,
        confirmed,
    };
    stored::save(state, &cloudflare().1, &held).expect("saved");
}

#[test]
fn the_newer_of_the_stored_list_and_the_snapshot_is_used_at_start() {
    let state = tempfile::tempdir().expect("a directory");
    let begin = || at_start(&cloudflare().0, state.path()).expect("a list").held.origin;
    assert_eq!(begin(), ListOrigin::Snapshot);
    kept(state.path(), 60, "8.8.8.0/24");
    assert_eq!(begin(), ListOrigin::Stored);
    kept(state.path(), -60, "8.8.8.0/24");
    assert_eq!(begin(), ListOrigin::Snapshot);
}

#[test]
fn a_stored_list_is_validated_again() {
    let state = tempfile::tempdir().expect("a directory");
    kept(state.path(), 60, "10.0.0.0/24");
    let found = at_start(&cloudflare().0, state.path()).expect("a list");
    assert_eq!(found.held.origin, ListOrigin::Snapshot);
    assert!(found.trouble.expect("trouble").to_string().contains("10.0.0.0/24"));
}

#[test]
fn a_url_without_a_stored_list_starts_with_an_empty_list() {
    let state = tempfile::tempdir().expect("a directory");
    let found = at_start(&PrefixSource::Url(cloudflare().1), state.path()).expect("a start");
    assert_eq!((found.held.origin, found.held.list.prefixes().len()), (ListOrigin::None, 0));
    assert_eq!(found.held.age(Timestamp::now()), None);
}

#[test]
fn an_empty_file_is_refused_but_an_empty_inline_list_is_allowed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("list");
    fs::write(&path, "# nothing\n").expect("written");
    let error = at_start(&PrefixSource::File(path.clone()), dir.path()).expect_err("refused");
    assert!(error.to_string().starts_with(&format!("{}: the list has no", path.display())));
    let nobody = at_start(&PrefixSource::Inline(Vec::new()), dir.path()).expect("allowed");
    assert_eq!(nobody.held.list.prefixes(), []);
}

#[test]
fn the_list_of_a_file_is_not_validated() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("list");
    fs::write(&path, "192.0.2.0/24\n10.0.0.0/8\n").expect("written");
    let source = PrefixSource::File(path.clone());
    let launcher = Launcher::new(Account::find(None).expect("a user"), Vec::new());
    let held = at_start(&source, dir.path()).expect("a list").held.list;
    fs::write(&path, "192.0.2.0/24\n").expect("written");
    let proposal = read_source(&source, &held, RemovalLimit::Enforced, &launcher).expect("read");
    assert!(matches!(proposal, Proposal::Replaced { change, .. } if change.removed.len() == 1));
}
