use std::{collections::BTreeMap, fs, time::Duration};

use aop_api::ModeTarget;
use aop_firewall::RenamedInterface;

use super::*;

mod sites;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a moment")
}

fn said(to: ModeTarget, ports: &[u16], interfaces: &[&str]) -> ModeChange {
    let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    ModeChange { ports: ports.to_vec(), interfaces, ..ModeChange::to(to) }
}

/// The overrides after these commands, where the configuration is observe.
fn overrides(all: &[ModeChange]) -> Option<ModeOverrides> {
    let mut seconds = 0;
    all.iter().fold(None, |overrides, said| {
        seconds += 1;
        ModeOverrides::with_command(overrides.as_ref(), said, &Mode::Observe.into(), at(seconds))
    })
}

fn everything() -> ModeOverrides {
    overrides(&[
        said(ModeTarget::Enforce, &[], &[]),
        said(ModeTarget::Observe, &[443, 8443], &[]),
        said(ModeTarget::Observe, &[], &["eth0", "eth1"]),
    ])
    .expect("overrides")
}

fn state() -> OverrideState {
    OverrideState { overrides: Some(everything()), ..OverrideState::default() }
}

fn config(firewall: &str) -> Config {
    let text = format!("[firewall]\n{firewall}\n[[listener]]\nbind = [\"[::]:443\"]\n");
    let site = "[[site]]\nhosts = [\"a.test\"]\ncertificate = \"c\"\nkey = \"k\"\n\
                client_ca = [\"ca\"]\nupstream = \"tcp://127.0.0.1:80\"\n";
    Config::parse(Path::new("aop.toml"), &(text + site)).expect("a configuration")
}

#[test]
fn overrides_of_ports_and_interfaces_leave_the_general_mode_alone() {
    let modes = everything().modes();
    assert_eq!(modes.general, Mode::Enforce);
    assert_eq!(modes.ports, [(443, Mode::Observe), (8443, Mode::Observe)].into());
    assert_eq!(modes.interfaces.len(), 2);
}

#[test]
fn the_modes_of_interfaces_follow_exchanged_names_and_the_stricter_one_holds() {
    let renamed = |pairs: &[(&str, &str)]| {
        let mut overrides = overrides(&[
            said(ModeTarget::Enforce, &[], &["eth0"]),
            said(ModeTarget::Observe, &[], &["eth1", "eth2"]),
        ])
        .expect("overrides");
        let pairs = pairs
            .iter()
            .map(|(from, to)| RenamedInterface { from: (*from).to_owned(), to: (*to).to_owned() });
        let moved = overrides.rename(&pairs.collect::<Vec<_>>()).len();
        let modes = overrides.interfaces.into_iter().map(|(name, mode)| (name, mode.name()));
        (moved, modes.collect::<Vec<_>>())
    };
    let modes = |all: &[(&str, &'static str)]| {
        all.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect::<Vec<_>>()
    };
    let exchanged = [("eth0", "observe"), ("eth1", "enforce"), ("eth2", "observe")];
    assert_eq!(renamed(&[("eth0", "eth1"), ("eth1", "eth0")]), (2, modes(&exchanged)));
    let moved = [("eth0", "enforce"), ("eth2", "observe"), ("wan0", "observe")];
    assert_eq!(renamed(&[("eth1", "wan0"), ("lan0", "lan1")]), (1, modes(&moved)));
    let stricter = [("eth0", "enforce"), ("eth2", "observe")];
    assert_eq!(renamed(&[("eth1", "eth0")]), (1, modes(&stricter)));
}

#[test]
fn default_removes_the_named_overrides_or_all_where_none_is_named() {
    let left = |back| {
        ModeOverrides::with_command(Some(&everything()), &back, &Mode::Observe.into(), at(9))
    };
    let overrides = left(said(ModeTarget::Default, &[443], &["eth1"])).expect("overrides");
    assert_eq!(overrides.modes().ports, [(8443, Mode::Observe)].into());
    assert_eq!(overrides.modes().interfaces, [("eth0".to_owned(), Mode::Observe)].into());
    assert_eq!(overrides.modes().general, Mode::Enforce);
    assert_eq!(left(said(ModeTarget::Default, &[], &[])), None);
}

#[test]
fn setting_the_configured_mode_removes_the_override() {
    assert_eq!(
        overrides(&[said(ModeTarget::Enforce, &[], &[]), said(ModeTarget::Observe, &[], &[])]),
        None
    );
    assert_eq!(overrides(&[said(ModeTarget::Default, &[443], &[])]), None);
}

#[test]
fn only_a_change_updates_the_time() {
    let twice = [said(ModeTarget::Enforce, &[443], &[]), said(ModeTarget::Enforce, &[443], &[])];
    assert_eq!(overrides(&twice).expect("overrides").set_at, at(1));
    let other = [said(ModeTarget::Enforce, &[443], &[]), said(ModeTarget::Observe, &[443], &[])];
    assert_eq!(overrides(&other).expect("overrides").set_at, at(2));
}

#[test]
fn a_changed_mode_in_the_configuration_removes_the_overrides() {
    for firewall in ["mode = \"enforce\"", "mode = \"off\""] {
        let (overrides, lost) = everything().reconcile(&config(firewall));
        assert_eq!(overrides, None, "{firewall}");
        assert!(lost[0].contains("firewall.mode was observe"), "{lost:?}");
    }
}

#[test]
fn unguarded_ports_and_interfaces_lose_their_override_and_auto_keeps_interfaces() {
    let (overrides, lost) = everything().reconcile(&config("interfaces = [\"eth0\"]"));
    let modes = overrides.expect("overrides").modes();
    assert_eq!(modes.ports, [(443, Mode::Observe)].into());
    assert_eq!(modes.interfaces, [("eth0".to_owned(), Mode::Observe)].into());
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost[0].contains("8443") && lost[1].contains("eth1"), "{lost:?}");

    let (overrides, lost) = everything().reconcile(&config("ports = [443, 8443]"));
    assert_eq!((overrides, lost), (Some(everything()), Vec::new()));
}

#[test]
fn stored_overrides_are_found_again_and_removed_ones_leave_no_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let directory = dir.path().join("deep/state");
    assert!(OverrideState::stored(&directory).overrides.is_none());
    let mut state = state();
    state.store(&directory).expect("stored");
    assert_eq!(state.trouble, None);
    let mut found = OverrideState::stored(&directory);
    assert_eq!((&found.overrides, &found.trouble), (&Some(everything()), &None));
    found.overrides = None;
    found.store(&directory).expect("stored");
    assert_eq!(fs::read_dir(&directory).expect("read").count(), 0);
}

#[test]
fn a_damaged_file_is_named_and_ignored() {
    let dir = tempfile::tempdir().expect("a directory");
    state().store(dir.path()).expect("stored");
    let path = dir.path().join(NAME);
    let whole = fs::read_to_string(&path).expect("read");
    // The last bytes are the closing brace and the newline.
    let cut = (0..whole.len() - 1).map(|end| whole[..end].to_owned());
    for bad in cut.chain([whole.replace("observe", "off"), whole.replace("8443", "65536")]) {
        fs::write(&path, bad).expect("written");
        let OverrideState { overrides, trouble, .. } = OverrideState::stored(dir.path());
        assert_eq!(overrides, None);
        assert!(trouble.is_some_and(|it| it.contains("modes.json") && it.contains("ignored")));
    }
}

#[test]
fn an_override_that_cannot_be_stored_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a-file");
    fs::write(&file, "").expect("written");
    let mut state = state();
    let error = state.store(&file).expect_err("no directory").to_string();
    assert!(error.contains("modes.json") && error.contains("Correct paths.state"), "{error}");
    assert_eq!(state.trouble, Some(error));
}

/// For ten seconds, set one second after the start of 1970 and at `own`.
fn tried(own: Instant) -> OverrideState {
    let ten = ModeChange { confirm_seconds: Some(10), ..said(ModeTarget::Enforce, &[], &[]) };
    OverrideState::default().with_command(&ten, Mode::Observe, (at(1), own)).expect("it waits")
}

#[test]
fn a_pending_override_expires_by_the_earlier_clock() {
    let own = Instant::now();
    let pending = tried(own).pending.expect("it waits");
    let due = |wall, later| pending.is_expired((at(wall), own + Duration::from_secs(later)));
    assert!(!due(10, 9) && due(11, 9), "the wall clock");
    assert!(due(1, 10), "the monotonic clock, although the wall clock was set back");
}

#[test]
fn a_pending_override_is_stored_with_its_deadline_and_a_clock_before_its_start_ends_it() {
    let own = Instant::now();
    let mut state = tried(own);
    let dir = tempfile::tempdir().expect("a directory");
    state.store(dir.path()).expect("stored");
    let read = |wall| {
        let text = fs::read(dir.path().join(NAME)).expect("kept");
        let document: OverridesFile = serde_json::from_slice(&text).expect("a document");
        document.state((at(wall), own)).pending.expect("it waits")
    };
    let later = |seconds| own + Duration::from_secs(seconds);
    assert_eq!(read(1), state.pending.clone().expect("it waits"));
    assert!(!read(5).is_expired((at(5), later(5))) && read(5).is_expired((at(5), later(6))));
    assert!(read(11).is_expired((at(11), own)) && read(0).is_expired((at(0), own)));
    assert!(OverrideState::stored(dir.path()).is_expired(), "1970 is long ago");
    assert!(state.revert().is_some_and(|line| line.contains("reverted to observe")));
    assert_eq!((&state.overrides, &state.pending), (&None, &None));
}

#[test]
fn a_second_command_starts_from_the_confirmed_overrides() {
    let now = (at(2), Instant::now());
    let next = |said| tried(Instant::now()).with_command(&said, Mode::Observe, now).expect("said");
    let port = next(said(ModeTarget::Enforce, &[443], &[]));
    assert_eq!((port.modes(Mode::Observe).general, &port.pending), (Mode::Observe, &None));
    let again = ModeChange { confirm_seconds: Some(60), ..said(ModeTarget::Enforce, &[], &[]) };
    let pending = next(again).pending().expect("it waits");
    assert_eq!((pending.reverts_to.as_str(), pending.until), ("observe", at(62)));
}

#[test]
fn a_pending_override_is_bounded_and_enforces_and_changes_something() {
    let now = (at(1), Instant::now());
    let begun = |seconds, to, configured| {
        let said = ModeChange { confirm_seconds: Some(seconds), ..said(to, &[], &[]) };
        OverrideState::default().with_command(&said, configured, now).map(|it| it.pending.is_some())
    };
    for seconds in [0, 9, 3601, u64::MAX] {
        assert!(begun(seconds, ModeTarget::Enforce, Mode::Observe).is_err(), "{seconds}");
    }
    assert!(begun(60, ModeTarget::Observe, Mode::Enforce).is_err());
    assert_eq!(begun(3600, ModeTarget::Enforce, Mode::Observe), Ok(true));
    assert_eq!(begun(60, ModeTarget::Enforce, Mode::Enforce), Ok(false));
}

#[test]
fn a_changed_mode_in_the_configuration_drops_the_pending_override() {
    let live = |mode| config(&format!("mode = {mode:?}"));
    let fresh = || {
        let ten = ModeChange { confirm_seconds: Some(60), ..said(ModeTarget::Enforce, &[], &[]) };
        OverrideState::default().with_command(
            &ten,
            Mode::Observe,
            (Timestamp::now(), Instant::now()),
        )
    };
    let (same, lost) = fresh().expect("it waits").reconcile(&live("observe"));
    assert!(same.pending.is_some() && lost.is_empty(), "{lost:?}");
    let (other, lost) = fresh().expect("it waits").reconcile(&live("enforce"));
    assert!(other.pending.is_none() && other.overrides.is_none() && lost.len() == 2, "{lost:?}");
}
