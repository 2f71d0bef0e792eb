use aop_sandbox::Account;
use jiff::{SignedDuration, Timestamp};

use super::*;

fn cloudflare() -> (PrefixSource, ListUrl) {
    let url: ListUrl = "https://mirror.example/ips".parse().expect("a URL");
    (PrefixSource::Cloudflare(url.clone()), url)
}

/// The snapshot with a prefix more, as `seconds` after the snapshot it was confirmed.
fn kept(state: &Path, seconds: i64, more: &str) {
    let snapshot = snapshot();
    let mut prefixes = snapshot.list.prefixes().to_vec();
    prefixes.push(more.parse().expect("a CIDR"));
    let confirmed = snapshot.confirmed.map(|at| at + SignedDuration::from_secs(seconds));
    let held = Held { list: List::new(prefixes, None), origin: Origin::Fetched, confirmed };
    stored::save(state, &cloudflare().1, &held).expect("saved");
}

#[test]
fn the_newest_of_the_kept_list_and_the_snapshot_begins() {
    let state = tempfile::tempdir().expect("a directory");
    let begin = || at_start(&cloudflare().0, state.path()).expect("a list").held.origin;
    assert_eq!(begin(), Origin::Snapshot);
    kept(state.path(), 60, "8.8.8.0/24");
    assert_eq!(begin(), Origin::Stored);
    kept(state.path(), -60, "8.8.8.0/24");
    assert_eq!(begin(), Origin::Snapshot);
}

#[test]
fn a_kept_list_is_judged_again() {
    let state = tempfile::tempdir().expect("a directory");
    kept(state.path(), 60, "10.0.0.0/24");
    let found = at_start(&cloudflare().0, state.path()).expect("a list");
    assert_eq!(found.held.origin, Origin::Snapshot);
    assert!(found.trouble.expect("trouble").to_string().contains("10.0.0.0/24"));
}

#[test]
fn an_unknown_url_begins_with_nobody() {
    let state = tempfile::tempdir().expect("a directory");
    let found = at_start(&PrefixSource::Url(cloudflare().1), state.path()).expect("a start");
    assert_eq!((found.held.origin, found.held.list.prefixes().len()), (Origin::Nowhere, 0));
    assert_eq!(found.held.age(Timestamp::now()), None);
}

#[test]
fn an_empty_file_is_refused_but_an_empty_inline_list_means_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("list");
    fs::write(&path, "# nothing\n").expect("written");
    let error = at_start(&PrefixSource::File(path.clone()), dir.path()).expect_err("refused");
    assert!(error.to_string().starts_with(&format!("{}: the list has no", path.display())));
    let nobody = at_start(&PrefixSource::Inline(Vec::new()), dir.path()).expect("allowed");
    assert_eq!(nobody.held.list.prefixes(), []);
}

#[test]
fn a_file_is_the_operators_own_word() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("list");
    fs::write(&path, "192.0.2.0/24\n10.0.0.0/8\n").expect("written");
    let source = PrefixSource::File(path.clone());
    let launcher = Launcher::new(Account::find(None).expect("a user"), Vec::new());
    let held = at_start(&source, dir.path()).expect("a list").held.list;
    fs::write(&path, "192.0.2.0/24\n").expect("written");
    let proposal = read_anew(&source, &held, Shrink::Bounded, &launcher).expect("read");
    assert!(matches!(proposal, Proposal::Replaced { change, .. } if change.removed.len() == 1));
}
