use std::fs;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a moment")
}

fn said(to: Wish, ports: &[u16], interfaces: &[&str]) -> Switch {
    let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    Switch { to, ports: ports.to_vec(), interfaces }
}

/// The word after all this, where the configuration observes.
fn word(all: &[Switch]) -> Option<Word> {
    let mut seconds = 0;
    all.iter().fold(None, |word, said| {
        seconds += 1;
        Word::after(word.as_ref(), said, Mode::Observe, at(seconds))
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
    let left = |back| Word::after(Some(&everything()), &back, Mode::Observe, at(9));
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
    let mut spoken = Spoken { word: Some(everything()), trouble: None };
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
    Spoken { word: Some(everything()), trouble: None }.keep(dir.path());
    let path = dir.path().join(NAME);
    let whole = fs::read_to_string(&path).expect("read");
    // The last bytes are the closing brace and the newline.
    let cut = (0..whole.len() - 1).map(|end| whole[..end].to_owned());
    for bad in cut.chain([whole.replace("observe", "off"), whole.replace("8443", "65536")]) {
        fs::write(&path, bad).expect("written");
        let Spoken { word, trouble } = Spoken::read(dir.path());
        assert_eq!(word, None);
        assert!(trouble.is_some_and(|it| it.contains("modes.json") && it.contains("ignored")));
    }
}

#[test]
fn where_nothing_can_be_written_the_word_stands_and_that_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("a-file");
    fs::write(&state, "").expect("written");
    let mut spoken = Spoken { word: Some(everything()), trouble: None };
    spoken.keep(&state);
    assert!(spoken.trouble.is_some_and(|told| told.contains("a restart would not know it")));
    assert_eq!(spoken.word, Some(everything()));
}
