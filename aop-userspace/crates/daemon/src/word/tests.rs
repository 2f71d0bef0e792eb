use std::{fs, time::Duration};

use super::*;

mod sites;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a moment")
}

fn said(to: Wish, ports: &[u16], interfaces: &[&str]) -> Switch {
    let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    Switch { ports: ports.to_vec(), interfaces, ..Switch::to(to) }
}

/// The word after all this, where the configuration observes.
fn word(all: &[Switch]) -> Option<Word> {
    let mut seconds = 0;
    all.iter().fold(None, |word, said| {
        seconds += 1;
        Word::after(word.as_ref(), said, &Mode::Observe.into(), at(seconds))
    })
}

fn everything() -> Word {
    word(&[
        said(Wish::Enforce, &[], &[]),
        said(Wish::Observe, &[443, 8443], &[]),
        said(Wish::Observe, &[], &["eth0", "eth1"]),
    ])
    .expect("a word")
}

fn spoken() -> Spoken {
    Spoken { word: Some(everything()), ..Spoken::default() }
}

fn config(firewall: &str) -> Config {
    let text = format!("[firewall]\n{firewall}\n[[listener]]\nbind = [\"[::]:443\"]\n");
    let site = "[[site]]\nhosts = [\"a.test\"]\ncertificate = \"c\"\nkey = \"k\"\n\
                client_ca = [\"ca\"]\nupstream = \"tcp://127.0.0.1:80\"\n";
    Config::parse(Path::new("aop.toml"), &(text + site)).expect("a configuration")
}

#[test]
fn what_is_said_of_ports_and_interfaces_stands_beside_the_general_mode() {
    let modes = everything().modes();
    assert_eq!(modes.general, Mode::Enforce);
    assert_eq!(modes.ports, [(443, Mode::Observe), (8443, Mode::Observe)].into());
    assert_eq!(modes.interfaces.len(), 2);
}

#[test]
fn default_takes_back_what_it_names_and_everything_where_it_names_nothing() {
    let left = |back| Word::after(Some(&everything()), &back, &Mode::Observe.into(), at(9));
    let word = left(said(Wish::Default, &[443], &["eth1"])).expect("a word");
    assert_eq!(word.modes().ports, [(8443, Mode::Observe)].into());
    assert_eq!(word.modes().interfaces, [("eth0".to_owned(), Mode::Observe)].into());
    assert_eq!(word.modes().general, Mode::Enforce);
    assert_eq!(left(said(Wish::Default, &[], &[])), None);
}

#[test]
fn to_say_what_the_configuration_says_is_to_take_the_word_back() {
    assert_eq!(word(&[said(Wish::Enforce, &[], &[]), said(Wish::Observe, &[], &[])]), None);
    assert_eq!(word(&[said(Wish::Default, &[443], &[])]), None);
}

#[test]
fn only_a_change_counts_as_said_anew() {
    let twice = [said(Wish::Enforce, &[443], &[]), said(Wish::Enforce, &[443], &[])];
    assert_eq!(word(&twice).expect("a word").set_at, at(1));
    let other = [said(Wish::Enforce, &[443], &[]), said(Wish::Observe, &[443], &[])];
    assert_eq!(word(&other).expect("a word").set_at, at(2));
}

#[test]
fn another_mode_in_the_configuration_is_the_newer_word() {
    for firewall in ["mode = \"enforce\"", "mode = \"off\""] {
        let (word, lost) = everything().under(&config(firewall));
        assert_eq!(word, None, "{firewall}");
        assert!(lost[0].contains("firewall.mode was observe"), "{lost:?}");
    }
}

#[test]
fn what_is_not_guarded_any_more_loses_its_own_mode_and_auto_keeps_interfaces() {
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
fn what_was_kept_is_found_again_and_nothing_is_left_of_what_was_taken_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("deep/state");
    assert!(Spoken::read(&state).word.is_none());
    let mut spoken = spoken();
    spoken.keep(&state);
    assert_eq!(spoken.trouble, None);
    let mut found = Spoken::read(&state);
    assert_eq!((&found.word, &found.trouble), (&Some(everything()), &None));
    found.word = None;
    found.keep(&state);
    assert_eq!(fs::read_dir(&state).expect("read").count(), 0);
}

#[test]
fn a_damaged_file_is_named_and_the_configuration_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    spoken().keep(dir.path());
    let path = dir.path().join(NAME);
    let whole = fs::read_to_string(&path).expect("read");
    // The last bytes are the closing brace and the newline.
    let cut = (0..whole.len() - 1).map(|end| whole[..end].to_owned());
    for bad in cut.chain([whole.replace("observe", "off"), whole.replace("8443", "65536")]) {
        fs::write(&path, bad).expect("written");
        let Spoken { word, trouble, .. } = Spoken::read(dir.path());
        assert_eq!(word, None);
        assert!(trouble.is_some_and(|it| it.contains("modes.json") && it.contains("ignored")));
    }
}

#[test]
fn where_nothing_can_be_written_the_word_stands_and_that_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("a-file");
    fs::write(&state, "").expect("written");
    let mut spoken = spoken();
    spoken.keep(&state);
    assert!(spoken.trouble.is_some_and(|told| told.contains("a restart would not know it")));
    assert_eq!(spoken.word, Some(everything()));
}

/// Whether what was `kept` is still there after `next` could not be written in its place.
fn stays(kept: &mut Spoken, next: &mut Spoken) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    kept.keep(dir.path());
    assert!(kept.trouble.is_none() && dir.path().join(NAME).exists());
    // Nothing can be written there, and names can be removed.
    fs::create_dir(dir.path().join(".modes.json.new")).expect("made");
    next.keep(dir.path());
    let told = next.trouble.as_ref().expect("it is told");
    let found = Spoken::read(dir.path());
    assert!(
        found.trouble.is_none() && found.word == kept.word.clone().filter(|_| found.word.is_some())
    );
    assert_eq!(told.contains("is removed"), found.word.is_none(), "{told}");
    found.word.is_some()
}

/// What stands after all this, where the configuration says `configured`.
fn standing(configured: Mode, all: &[Switch]) -> Spoken {
    all.iter().fold(Spoken::default(), |spoken, said| {
        spoken.after(said, configured, (at(1), Instant::now())).expect("said")
    })
}

#[test]
fn what_is_kept_is_removed_where_it_is_weaker_than_what_cannot_be_written_and_than_the_configuration()
 {
    let (enforce, observe) = (Mode::Enforce, Mode::Observe);
    let all = |to| said(to, &[], &[]);
    let port = |to| said(to, &[443], &[]);
    let holds = |configured, kept: &[Switch], next: &[Switch]| {
        let mut next = standing(configured, &[kept, next].concat());
        stays(&mut standing(configured, kept), &mut next)
    };
    assert!(!holds(enforce, &[all(Wish::Observe)], &[port(Wish::Enforce)]));
    let (eth0, eth1) = (said(Wish::Observe, &[], &["eth0"]), said(Wish::Observe, &[], &["eth1"]));
    let back = said(Wish::Default, &[], &["eth0"]);
    assert!(!holds(enforce, &[eth0.clone(), eth1], &[back]));
    // What becomes weaker stays strict.
    assert!(holds(observe, &[all(Wish::Enforce)], &[port(Wish::Observe)]));
    assert!(holds(enforce, &[port(Wish::Observe)], &[eth0]));
    // The configuration is no stricter, or is weaker elsewhere.
    assert!(holds(observe, &[port(Wish::Enforce)], &[said(Wish::Enforce, &[8443], &[])]));
    assert!(holds(observe, &[all(Wish::Enforce), port(Wish::Observe)], &[port(Wish::Enforce)]));
    // What is not confirmed is taken back, by a restart too; once it is, it lasts.
    let ten = Switch { confirm_seconds: Some(10), ..port(Wish::Enforce) };
    assert!(holds(enforce, &[all(Wish::Observe)], std::slice::from_ref(&ten)));
    let mut confirmed = standing(enforce, &[all(Wish::Observe), ten]);
    assert!(confirmed.confirm());
    assert!(!stays(&mut standing(enforce, &[all(Wish::Observe)]), &mut confirmed));
}

/// For ten seconds, said at the first second of 1970 and `own`.
fn tried(own: Instant) -> Spoken {
    let ten = Switch { confirm_seconds: Some(10), ..said(Wish::Enforce, &[], &[]) };
    Spoken::default().after(&ten, Mode::Observe, (at(1), own)).expect("it waits")
}

#[test]
fn what_waits_is_over_by_whichever_clock_comes_first() {
    let own = Instant::now();
    let pending = tried(own).pending.expect("it waits");
    let due = |wall, later| pending.due((at(wall), own + Duration::from_secs(later)));
    assert!(!due(10, 9) && due(11, 9), "the wall clock");
    assert!(due(1, 10), "this run's own, though the wall clock was set back");
}

#[test]
fn what_waits_is_kept_with_its_end_and_a_clock_before_its_beginning_ends_it() {
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
    assert!(Spoken::read(dir.path()).is_over(), "1970 is long ago");
    assert!(spoken.take_back().is_some_and(|told| told.contains("observe again")));
    assert_eq!((&spoken.word, &spoken.pending), (&None, &None));
}

#[test]
fn a_second_word_begins_from_what_was_confirmed() {
    let now = (at(2), Instant::now());
    let next = |said| tried(Instant::now()).after(&said, Mode::Observe, now).expect("said");
    let port = next(said(Wish::Enforce, &[443], &[]));
    assert_eq!((port.modes(Mode::Observe).general, &port.pending), (Mode::Observe, &None));
    let again = Switch { confirm_seconds: Some(60), ..said(Wish::Enforce, &[], &[]) };
    let told = next(again).pending().expect("it waits");
    assert_eq!((told.reverts_to.as_str(), told.until), ("observe", at(62)));
}

#[test]
fn what_waits_is_bounded_enforces_and_changes_something() {
    let now = (at(1), Instant::now());
    let begun = |seconds, to, configured| {
        let said = Switch { confirm_seconds: Some(seconds), ..said(to, &[], &[]) };
        Spoken::default().after(&said, configured, now).map(|it| it.pending.is_some())
    };
    for seconds in [0, 9, 3601, u64::MAX] {
        assert!(begun(seconds, Wish::Enforce, Mode::Observe).is_err(), "{seconds}");
    }
    assert!(begun(60, Wish::Observe, Mode::Enforce).is_err());
    assert_eq!(begun(3600, Wish::Enforce, Mode::Observe), Ok(true));
    assert_eq!(begun(60, Wish::Enforce, Mode::Enforce), Ok(false));
}

#[test]
fn a_configuration_of_another_mode_ends_the_waiting() {
    let live = |mode| config(&format!("mode = {mode:?}"));
    let fresh = || {
        let ten = Switch { confirm_seconds: Some(60), ..said(Wish::Enforce, &[], &[]) };
        Spoken::default().after(&ten, Mode::Observe, (Timestamp::now(), Instant::now()))
    };
    let (same, lost) = fresh().expect("it waits").under(&live("observe"));
    assert!(same.pending.is_some() && lost.is_empty(), "{lost:?}");
    let (other, lost) = fresh().expect("it waits").under(&live("enforce"));
    assert!(other.pending.is_none() && other.word.is_none() && lost.len() == 2, "{lost:?}");
}
