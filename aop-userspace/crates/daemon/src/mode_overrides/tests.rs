use std::{fs, time::Duration};

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
fn word(all: &[ModeChange]) -> Option<ModeOverrides> {
    let mut seconds = 0;
    all.iter().fold(None, |word, said| {
        seconds += 1;
        ModeOverrides::after(word.as_ref(), said, &Mode::Observe.into(), at(seconds))
    })
}

fn everything() -> ModeOverrides {
    word(&[
        said(ModeTarget::Enforce, &[], &[]),
        said(ModeTarget::Observe, &[443, 8443], &[]),
        said(ModeTarget::Observe, &[], &["eth0", "eth1"]),
    ])
    .expect("a word")
}

fn spoken() -> OverrideState {
    OverrideState { word: Some(everything()), ..OverrideState::default() }
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
fn default_removes_the_named_overrides_or_all_where_none_is_named() {
    let left =
        |back| ModeOverrides::after(Some(&everything()), &back, &Mode::Observe.into(), at(9));
    let word = left(said(ModeTarget::Default, &[443], &["eth1"])).expect("a word");
    assert_eq!(word.modes().ports, [(8443, Mode::Observe)].into());
    assert_eq!(word.modes().interfaces, [("eth0".to_owned(), Mode::Observe)].into());
    assert_eq!(word.modes().general, Mode::Enforce);
    assert_eq!(left(said(ModeTarget::Default, &[], &[])), None);
}

#[test]
fn setting_the_configured_mode_removes_the_override() {
    assert_eq!(
        word(&[said(ModeTarget::Enforce, &[], &[]), said(ModeTarget::Observe, &[], &[])]),
        None
    );
    assert_eq!(word(&[said(ModeTarget::Default, &[443], &[])]), None);
}

#[test]
fn only_a_change_updates_the_time() {
    let twice = [said(ModeTarget::Enforce, &[443], &[]), said(ModeTarget::Enforce, &[443], &[])];
    assert_eq!(word(&twice).expect("a word").set_at, at(1));
    let other = [said(ModeTarget::Enforce, &[443], &[]), said(ModeTarget::Observe, &[443], &[])];
    assert_eq!(word(&other).expect("a word").set_at, at(2));
}

#[test]
fn a_changed_mode_in_the_configuration_removes_the_overrides() {
    for firewall in ["mode = \"enforce\"", "mode = \"off\""] {
        let (word, lost) = everything().under(&config(firewall));
        assert_eq!(word, None, "{firewall}");
        assert!(lost[0].contains("firewall.mode was observe"), "{lost:?}");
    }
}

#[test]
fn unguarded_ports_and_interfaces_lose_their_override_and_auto_keeps_interfaces() {
    let (word, lost) = everything().under(&config("interfaces = [\"eth0\"]"));
    let modes = word.expect("a word").modes();
    assert_eq!(modes.ports, [(443, Mode::Observe)].into());
    assert_eq!(modes.interfaces, [("eth0".to_owned(), Mode::Observe)].into());
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost[0].contains("8443") && lost[1].contains("eth1"), "{lost:?}");

    let (word, lost) = everything().under(&config("ports = [443, 8443]"));
    assert_eq!((word, lost), (Some(everything()), Vec::new()));
}

#[test]
fn stored_overrides_are_found_again_and_removed_ones_leave_no_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("deep/state");
    assert!(OverrideState::read(&state).word.is_none());
    let mut spoken = spoken();
    spoken.keep(&state);
    assert_eq!(spoken.trouble, None);
    let mut found = OverrideState::read(&state);
    assert_eq!((&found.word, &found.trouble), (&Some(everything()), &None));
    found.word = None;
    found.keep(&state);
    assert_eq!(fs::read_dir(&state).expect("read").count(), 0);
}

#[test]
fn a_damaged_file_is_named_and_ignored() {
    let dir = tempfile::tempdir().expect("a directory");
    spoken().keep(dir.path());
    let path = dir.path().join(NAME);
    let whole = fs::read_to_string(&path).expect("read");
    // The last bytes are the closing brace and the newline.
    let cut = (0..whole.len() - 1).map(|end| whole[..end].to_owned());
    for bad in cut.chain([whole.replace("observe", "off"), whole.replace("8443", "65536")]) {
        fs::write(&path, bad).expect("written");
        let OverrideState { word, trouble, .. } = OverrideState::read(dir.path());
        assert_eq!(word, None);
        assert!(trouble.is_some_and(|it| it.contains("modes.json") && it.contains("ignored")));
    }
}

#[test]
fn an_override_that_cannot_be_stored_stays_in_force_with_a_warning() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("a-file");
    fs::write(&state, "").expect("written");
    let mut spoken = spoken();
    spoken.keep(&state);
    assert!(spoken.trouble.is_some_and(|text| text.contains("A restart will lose them")));
    assert_eq!(spoken.word, Some(everything()));
}

/// Whether the file of `kept` is still there after `next` could not be written.
fn stays(kept: &mut OverrideState, next: &mut OverrideState) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    kept.keep(dir.path());
    assert!(kept.trouble.is_none() && dir.path().join(NAME).exists());
    // Files cannot be written there, but names can be removed.
    fs::create_dir(dir.path().join(".modes.json.new")).expect("made");
    next.keep(dir.path());
    let trouble = next.trouble.as_ref().expect("a warning");
    let found = OverrideState::read(dir.path());
    assert!(
        found.trouble.is_none() && found.word == kept.word.clone().filter(|_| found.word.is_some())
    );
    assert_eq!(trouble.contains("was removed"), found.word.is_none(), "{trouble}");
    found.word.is_some()
}

/// The overrides after these commands, where the configuration is `configured`.
fn standing(configured: Mode, all: &[ModeChange]) -> OverrideState {
    all.iter().fold(OverrideState::default(), |spoken, said| {
        spoken.after(said, configured, (at(1), Instant::now())).expect("said")
    })
}

#[test]
fn a_less_strict_file_is_removed_when_the_new_overrides_cannot_be_written() {
    let (enforce, observe) = (Mode::Enforce, Mode::Observe);
    let all = |to| said(to, &[], &[]);
    let port = |to| said(to, &[443], &[]);
    let holds = |configured, kept: &[ModeChange], next: &[ModeChange]| {
        let mut next = standing(configured, &[kept, next].concat());
        stays(&mut standing(configured, kept), &mut next)
    };
    assert!(!holds(enforce, &[all(ModeTarget::Observe)], &[port(ModeTarget::Enforce)]));
    let (eth0, eth1) =
        (said(ModeTarget::Observe, &[], &["eth0"]), said(ModeTarget::Observe, &[], &["eth1"]));
    let back = said(ModeTarget::Default, &[], &["eth0"]);
    assert!(!holds(enforce, &[eth0.clone(), eth1], &[back]));
    // A file that is stricter stays.
    assert!(holds(observe, &[all(ModeTarget::Enforce)], &[port(ModeTarget::Observe)]));
    assert!(holds(enforce, &[port(ModeTarget::Observe)], &[eth0]));
    // The configuration is no stricter, or less strict elsewhere.
    assert!(holds(
        observe,
        &[port(ModeTarget::Enforce)],
        &[said(ModeTarget::Enforce, &[8443], &[])]
    ));
    assert!(holds(
        observe,
        &[all(ModeTarget::Enforce), port(ModeTarget::Observe)],
        &[port(ModeTarget::Enforce)]
    ));
    // A restart reverts a pending override. Once confirmed, it is permanent.
    let ten = ModeChange { confirm_seconds: Some(10), ..port(ModeTarget::Enforce) };
    assert!(holds(enforce, &[all(ModeTarget::Observe)], std::slice::from_ref(&ten)));
    let mut confirmed = standing(enforce, &[all(ModeTarget::Observe), ten]);
    assert!(confirmed.confirm());
    assert!(!stays(&mut standing(enforce, &[all(ModeTarget::Observe)]), &mut confirmed));
}

/// For ten seconds, set one second after the start of 1970 and at `own`.
fn tried(own: Instant) -> OverrideState {
    let ten = ModeChange { confirm_seconds: Some(10), ..said(ModeTarget::Enforce, &[], &[]) };
    OverrideState::default().after(&ten, Mode::Observe, (at(1), own)).expect("it waits")
}

#[test]
fn a_pending_override_expires_by_the_earlier_clock() {
    let own = Instant::now();
    let pending = tried(own).pending.expect("it waits");
    let due = |wall, later| pending.due((at(wall), own + Duration::from_secs(later)));
    assert!(!due(10, 9) && due(11, 9), "the wall clock");
    assert!(due(1, 10), "the monotonic clock, although the wall clock was set back");
}

#[test]
fn a_pending_override_is_stored_with_its_deadline_and_a_clock_before_its_start_ends_it() {
    let own = Instant::now();
    let mut spoken = tried(own);
    let dir = tempfile::tempdir().expect("a directory");
    spoken.keep(dir.path());
    let read = |wall| {
        let text = fs::read(dir.path().join(NAME)).expect("kept");
        let document: Document = serde_json::from_slice(&text).expect("a document");
        document.spoken((at(wall), own)).pending.expect("it waits")
    };
    let later = |seconds| own + Duration::from_secs(seconds);
    assert_eq!(read(1), spoken.pending.clone().expect("it waits"));
    assert!(!read(5).due((at(5), later(5))) && read(5).due((at(5), later(6))));
    assert!(read(11).due((at(11), own)) && read(0).due((at(0), own)));
    assert!(OverrideState::read(dir.path()).is_over(), "1970 is long ago");
    assert!(spoken.take_back().is_some_and(|line| line.contains("reverted to observe")));
    assert_eq!((&spoken.word, &spoken.pending), (&None, &None));
}

#[test]
fn a_second_command_starts_from_the_confirmed_overrides() {
    let now = (at(2), Instant::now());
    let next = |said| tried(Instant::now()).after(&said, Mode::Observe, now).expect("said");
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
        OverrideState::default().after(&said, configured, now).map(|it| it.pending.is_some())
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
        OverrideState::default().after(&ten, Mode::Observe, (Timestamp::now(), Instant::now()))
    };
    let (same, lost) = fresh().expect("it waits").under(&live("observe"));
    assert!(same.pending.is_some() && lost.is_empty(), "{lost:?}");
    let (other, lost) = fresh().expect("it waits").under(&live("enforce"));
    assert!(other.pending.is_none() && other.word.is_none() && lost.len() == 2, "{lost:?}");
}
