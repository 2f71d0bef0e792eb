//! What is said of sites.

use aop_config::OnRefusal;

use super::*;

/// Two sites: the first one refuses, the second one observes.
fn two_sites(more: &str) -> Config {
    let site = |host: &str, upstream: &str, more: &str| {
        format!(
            "[[site]]\nhosts = [\"{host}\", \"*.{host}\"]\ncertificate = \"c\"\nkey = \"k\"\n\
             client_ca = [\"ca\"]\nupstream = \"{upstream}\"\n{more}\n"
        )
    };
    let text = format!(
        "{more}\n[[listener]]\nbind = [\"[::]:443\"]\n{}{}",
        site("a.test", "tcp://127.0.0.1:1", ""),
        site("b.test", "tcp://127.0.0.1:2", "on_refusal = \"observe\"")
    );
    Config::parse(Path::new("aop.toml"), &text).expect("a configuration")
}

/// What is said of these sites, with what is configured of them.
fn of_sites(to: Wish, sites: &[(&str, OnRefusal)]) -> (Switch, Configured) {
    let names = sites.iter().map(|(site, _)| (*site).to_owned()).collect();
    let sites = sites.iter().map(|(site, on_refusal)| ((*site).to_owned(), *on_refusal));
    let configured = Configured { mode: Mode::Observe, sites: sites.collect() };
    (Switch { sites: names, ..Switch::to(to) }, configured)
}

/// The word after this was said of sites.
fn spoken_of(to: Wish, sites: &[(&str, OnRefusal)], before: Option<&Word>) -> Option<Word> {
    let (said, configured) = of_sites(to, sites);
    Word::after(before, &said, &configured, at(1))
}

const CLOSE: OnRefusal = OnRefusal::Close;
const OBSERVE: OnRefusal = OnRefusal::Observe;

#[test]
fn what_is_said_of_sites_and_what_is_said_of_packets_leave_each_other_alone() {
    let both = spoken_of(Wish::Observe, &[("a.test", CLOSE)], Some(&everything()));
    let both = both.expect("a word");
    assert_eq!(both.modes().sites, [("a.test".to_owned(), Mode::Observe)].into());
    let packets = Modes { sites: BTreeMap::new(), ..both.modes() };
    assert_eq!(packets, everything().modes());
    // `default` of everything is about packets: no site is weakened or cut by that.
    let left =
        Word::after(Some(&both), &said(Wish::Default, &[], &[]), &Mode::Observe.into(), at(2));
    let left = left.expect("a word");
    assert!(left.modes().ports.is_empty() && left.modes().general == Mode::Observe);
    assert_eq!(left.modes().sites.len(), 1);
    assert_eq!(spoken_of(Wish::Default, &[("a.test", CLOSE)], Some(&left)), None);
    // To say what the configuration says is to take the word back.
    assert_eq!(spoken_of(Wish::Enforce, &[("a.test", CLOSE)], Some(&left)), None);
    assert_eq!(spoken_of(Wish::Observe, &[("b.test", OBSERVE)], None), None);
}

#[test]
fn a_configuration_with_another_on_refusal_is_the_newer_word_and_firewall_mode_is_none_of_it() {
    let word = spoken_of(Wish::Observe, &[("a.test", CLOSE)], None);
    let word = spoken_of(Wish::Enforce, &[("b.test", OBSERVE)], word.as_ref()).expect("a word");
    for firewall in ["", "[firewall]\nmode = \"enforce\"", "[firewall]\nmode = \"off\""] {
        let (left, lost) = word.clone().under(&two_sites(firewall));
        let left = left.expect("a word");
        assert_eq!((left.modes().sites.len(), lost.len()), (2, 0), "{firewall}: {lost:?}");
    }
    let mut config = two_sites("");
    config.live.sites[0].on_refusal = OBSERVE;
    config.live.sites.truncate(1);
    let (left, lost) = word.under(&config);
    assert_eq!((left, lost.len()), (None, 2), "{lost:?}");
    assert!(lost[0].contains("a.test") && lost[1].contains("b.test"), "{lost:?}");
}

#[test]
fn where_two_sites_may_not_share_an_upstream_the_strict_side_wins() {
    let share = |config: &mut Config| {
        let upstream = config.live.sites[1].upstream.clone();
        config.live.sites[0].upstream = upstream;
    };
    let mode =
        |word: Option<Word>, site: &str| word.and_then(|it| it.modes().sites.get(site).copied());
    // One observes by word: the word is lost.
    let mut config = two_sites("");
    share(&mut config);
    config.live.sites[1].on_refusal = CLOSE;
    let word = spoken_of(Wish::Observe, &[("a.test", CLOSE)], None).expect("a word");
    let (left, lost) = word.under(&config);
    assert_eq!((mode(left, "a.test"), lost.len()), (None, 1), "{lost:?}");
    // One refuses by word: the other one does, too.
    let mut config = two_sites("");
    share(&mut config);
    config.live.sites[0].on_refusal = OBSERVE;
    let word = spoken_of(Wish::Enforce, &[("b.test", OBSERVE)], None).expect("a word");
    let (left, lost) = word.under(&config);
    assert_eq!((mode(left, "a.test"), lost.len()), (Some(Mode::Enforce), 1), "{lost:?}");
}

#[test]
fn documents_of_before_there_were_sites_are_read_and_those_with_sites_come_back() {
    let old = r#"{"set_at":"1970-01-01T00:00:03Z","configured":"observe","general":"enforce",
        "ports":{"443":"observe"},"interfaces":{}}"#;
    let read = |text: &[u8]| {
        let document: Document = serde_json::from_slice(text).expect("a document");
        document.spoken((at(5), Instant::now()))
    };
    let word = read(old.as_bytes()).word.expect("a word");
    assert_eq!((word.modes().general, word.modes().sites.len()), (Mode::Enforce, 0));

    let dir = tempfile::tempdir().expect("a directory");
    let (said, configured) = of_sites(Wish::Enforce, &[("b.test", OBSERVE)]);
    let said = Switch { confirm_seconds: Some(60), confirm_pulls: Some(3), ..said };
    let mut spoken =
        Spoken::default().after(&said, configured, (at(1), Instant::now())).expect("it waits");
    spoken.keep(dir.path());
    let found = read(&fs::read(dir.path().join(NAME)).expect("kept"));
    assert_eq!(found.word, spoken.word);
    let (told, was) = (found.pending().expect("it waits"), spoken.pending().expect("it waits"));
    assert_eq!(told, was);
    assert_eq!((told.pulls, told.reverts_to.as_str()), (Some(3), "site b.test: observe"));
    // A word of sites alone leaves nothing that an older version would not know.
    let packets = Document::of(&everything()).text().expect("text");
    assert!(!String::from_utf8(packets).expect("text").contains("sites"));
}

#[test]
fn where_the_file_is_damaged_every_site_refuses() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = two_sites("[firewall]\nmode = \"off\"");
    config.fixed.paths.state = dir.path().to_owned();
    let observing = |spoken: &Spoken| {
        let sites = spoken.sites(&config.live).into_iter();
        sites.filter(|it| it.on_refusal == OBSERVE).map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(observing(&Spoken::found(&config)), ["b.test"], "nothing is kept");
    fs::write(dir.path().join(NAME), "{").expect("written");
    let (spoken, lost) = Spoken::found(&config).under(&config);
    assert_eq!((observing(&spoken), lost), (Vec::<String>::new(), Vec::new()));
    assert!(spoken.trouble.is_some_and(|it| it.contains("every site refuses")));
}

#[test]
fn so_many_pulls_confirm_and_those_from_before_or_of_other_sites_do_not() {
    let now = (at(1), Instant::now());
    let served = |a: u64, b: u64| [("a.test".to_owned(), a), ("b.test".to_owned(), b)];
    let begun = |said: Switch, configured: Configured| {
        let said = Switch { confirm_seconds: Some(60), confirm_pulls: Some(2), ..said };
        Spoken::default().after(&said, configured, now).expect("it waits")
    };
    let (said_of_b, configured) = of_sites(Wish::Enforce, &[("b.test", OBSERVE)]);
    let mut site = begun(said_of_b, configured);
    assert_eq!(site.count(&served(9, 9)), None, "from before");
    assert_eq!(site.count(&served(99, 10)), None, "one, and others' are no pulls of it");
    assert_eq!(site.pending().and_then(|told| told.pulls_so_far), Some(1));
    // Who counts began anew.
    assert_eq!(site.count(&served(0, 0)), None);
    assert!(site.counts().is_some());
    assert!(site.count(&served(0, 2)).is_some_and(|told| told.contains("2 pulls of b.test")));
    assert_eq!((site.counts(), site.pending(), site.word.is_some()), (None, None, true));

    let mut packets = begun(said(Wish::Enforce, &[], &[]), Mode::Observe.into());
    assert_eq!(packets.count(&served(1, 1)), None);
    assert!(packets.count(&served(2, 2)).is_some());

    let refused = |seconds, pulls| {
        let enforce = said(Wish::Enforce, &[], &[]);
        let said = Switch { confirm_seconds: seconds, confirm_pulls: Some(pulls), ..enforce };
        Spoken::default().after(&said, Mode::Observe, now).err()
    };
    assert!(refused(None, 2).is_some() && refused(Some(60), 0).is_some());
}

#[test]
fn a_kept_word_by_which_a_site_would_observe_again_is_removed_where_it_cannot_be_rewritten() {
    let spoken = |word| Spoken { word, ..Spoken::default() };
    let both = spoken_of(Wish::Observe, &[("a.test", CLOSE), ("c.test", CLOSE)], None);
    let one = spoken_of(Wish::Enforce, &[("a.test", CLOSE)], both.as_ref());
    assert!(!stays(&mut spoken(both.clone()), &mut spoken(one.clone())));
    assert!(stays(&mut spoken(one), &mut spoken(both.clone())), "what becomes weaker stays strict");
    // The configuration would have the other site observe, which the kept word forbids.
    let strict = spoken_of(Wish::Enforce, &[("b.test", OBSERVE)], both.as_ref());
    let mixed = spoken_of(Wish::Enforce, &[("a.test", CLOSE)], strict.as_ref());
    assert!(stays(&mut spoken(strict), &mut spoken(mixed)));
}
