//! Overrides of sites.

use aop_config::OnRefusal;

use super::*;

/// Two sites: the first refuses, the second observes.
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

/// The command for these sites, and their configured values.
fn of_sites(to: ModeTarget, sites: &[(&str, OnRefusal)]) -> (ModeChange, Configured) {
    let names = sites.iter().map(|(site, _)| (*site).to_owned()).collect();
    let sites = sites.iter().map(|(site, on_refusal)| ((*site).to_owned(), *on_refusal));
    let configured = Configured { mode: Mode::Observe, sites: sites.collect() };
    (ModeChange { sites: names, ..ModeChange::to(to) }, configured)
}

/// The overrides after this command for sites.
fn spoken_of(
    to: ModeTarget,
    sites: &[(&str, OnRefusal)],
    before: Option<&ModeOverrides>,
) -> Option<ModeOverrides> {
    let (said, configured) = of_sites(to, sites);
    ModeOverrides::after(before, &said, &configured, at(1))
}

const CLOSE: OnRefusal = OnRefusal::Close;
const OBSERVE: OnRefusal = OnRefusal::Observe;

#[test]
fn overrides_of_sites_and_of_packets_are_independent() {
    let both = spoken_of(ModeTarget::Observe, &[("a.test", CLOSE)], Some(&everything()));
    let both = both.expect("a word");
    assert_eq!(both.modes().sites, [("a.test".to_owned(), Mode::Observe)].into());
    let packets = Modes { sites: BTreeMap::new(), ..both.modes() };
    assert_eq!(packets, everything().modes());
    // `default` without names concerns packets alone: it must neither weaken nor tighten a site.
    let left = ModeOverrides::after(
        Some(&both),
        &said(ModeTarget::Default, &[], &[]),
        &Mode::Observe.into(),
        at(2),
    );
    let left = left.expect("a word");
    assert!(left.modes().ports.is_empty() && left.modes().general == Mode::Observe);
    assert_eq!(left.modes().sites.len(), 1);
    assert_eq!(spoken_of(ModeTarget::Default, &[("a.test", CLOSE)], Some(&left)), None);
    // Setting the configured mode removes the override.
    assert_eq!(spoken_of(ModeTarget::Enforce, &[("a.test", CLOSE)], Some(&left)), None);
    assert_eq!(spoken_of(ModeTarget::Observe, &[("b.test", OBSERVE)], None), None);
}

#[test]
fn a_changed_on_refusal_removes_the_override_and_a_changed_firewall_mode_does_not() {
    let word = spoken_of(ModeTarget::Observe, &[("a.test", CLOSE)], None);
    let word =
        spoken_of(ModeTarget::Enforce, &[("b.test", OBSERVE)], word.as_ref()).expect("a word");
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
fn where_two_sites_may_not_share_an_upstream_the_stricter_mode_wins() {
    let share = |config: &mut Config| {
        let upstream = config.live.sites[1].upstream.clone();
        config.live.sites[0].upstream = upstream;
    };
    let mode = |word: Option<ModeOverrides>, site: &str| {
        word.and_then(|it| it.modes().sites.get(site).copied())
    };
    // One observes by override: the override is dropped.
    let mut config = two_sites("");
    share(&mut config);
    config.live.sites[1].on_refusal = CLOSE;
    let word = spoken_of(ModeTarget::Observe, &[("a.test", CLOSE)], None).expect("a word");
    let (left, lost) = word.under(&config);
    assert_eq!((mode(left, "a.test"), lost.len()), (None, 1), "{lost:?}");
    // One refuses by override: the other one is made to refuse, too.
    let mut config = two_sites("");
    share(&mut config);
    config.live.sites[0].on_refusal = OBSERVE;
    let word = spoken_of(ModeTarget::Enforce, &[("b.test", OBSERVE)], None).expect("a word");
    let (left, lost) = word.under(&config);
    assert_eq!((mode(left, "a.test"), lost.len()), (Some(Mode::Enforce), 1), "{lost:?}");
}

#[test]
fn files_without_sites_are_read_and_files_with_sites_are_read_back() {
    let old = r#"{"set_at":"1970-01-01T00:00:03Z","configured":"observe","general":"enforce",
        "ports":{"443":"observe"},"interfaces":{}}"#;
    let read = |text: &[u8]| {
        let document: Document = serde_json::from_slice(text).expect("a document");
        document.spoken((at(5), Instant::now()))
    };
    let word = read(old.as_bytes()).word.expect("a word");
    assert_eq!((word.modes().general, word.modes().sites.len()), (Mode::Enforce, 0));

    let dir = tempfile::tempdir().expect("a directory");
    let (said, configured) = of_sites(ModeTarget::Enforce, &[("b.test", OBSERVE)]);
    let said = ModeChange { confirm_seconds: Some(60), confirm_pulls: Some(3), ..said };
    let mut spoken = OverrideState::default()
        .after(&said, configured, (at(1), Instant::now()))
        .expect("it waits");
    spoken.keep(dir.path());
    let found = read(&fs::read(dir.path().join(NAME)).expect("kept"));
    assert_eq!(found.word, spoken.word);
    let (stored, was) = (found.pending().expect("it waits"), spoken.pending().expect("it waits"));
    assert_eq!(stored, was);
    assert_eq!((stored.pulls, stored.reverts_to.as_str()), (Some(3), "site b.test: observe"));
    // Overrides of packets alone write no field that an older version does not know.
    let packets = Document::of(&everything()).text().expect("text");
    assert!(!String::from_utf8(packets).expect("text").contains("sites"));
}

#[test]
fn with_a_damaged_file_every_site_refuses() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = two_sites("[firewall]\nmode = \"off\"");
    config.fixed.paths.state = dir.path().to_owned();
    let observing = |spoken: &OverrideState| {
        let sites = spoken.sites(&config.live).into_iter();
        sites.filter(|it| it.on_refusal == OBSERVE).map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(observing(&OverrideState::found(&config)), ["b.test"], "nothing is kept");
    fs::write(dir.path().join(NAME), "{").expect("written");
    let (spoken, lost) = OverrideState::found(&config).under(&config);
    assert_eq!((observing(&spoken), lost), (Vec::<String>::new(), Vec::new()));
    assert!(spoken.trouble.is_some_and(|it| it.contains("every site refuses")));
}

#[test]
fn only_new_pulls_of_the_named_sites_confirm() {
    let now = (at(1), Instant::now());
    let served = |a: u64, b: u64| [("a.test".to_owned(), a), ("b.test".to_owned(), b)];
    let begun = |said: ModeChange, configured: Configured| {
        let said = ModeChange { confirm_seconds: Some(60), confirm_pulls: Some(2), ..said };
        OverrideState::default().after(&said, configured, now).expect("it waits")
    };
    let (said_of_b, configured) = of_sites(ModeTarget::Enforce, &[("b.test", OBSERVE)]);
    let mut site = begun(said_of_b, configured);
    assert_eq!(site.count(&served(9, 9)), None, "pulls from before");
    assert_eq!(site.count(&served(99, 10)), None, "one pull; those of other sites do not count");
    assert_eq!(site.pending().and_then(|it| it.pulls_so_far), Some(1));
    // The terminator has restarted, and counts from 0.
    assert_eq!(site.count(&served(0, 0)), None);
    assert!(site.counts().is_some());
    assert!(
        site.count(&served(0, 2))
            .is_some_and(|line| line.contains("2 authenticated pulls of b.test"))
    );
    assert_eq!((site.counts(), site.pending(), site.word.is_some()), (None, None, true));

    let mut packets = begun(said(ModeTarget::Enforce, &[], &[]), Mode::Observe.into());
    assert_eq!(packets.count(&served(1, 1)), None);
    assert!(packets.count(&served(2, 2)).is_some());

    let refused = |seconds, pulls| {
        let enforce = said(ModeTarget::Enforce, &[], &[]);
        let said = ModeChange { confirm_seconds: seconds, confirm_pulls: Some(pulls), ..enforce };
        OverrideState::default().after(&said, Mode::Observe, now).err()
    };
    assert!(refused(None, 2).is_some() && refused(Some(60), 0).is_some());
}

#[test]
fn a_stored_override_that_lets_a_site_observe_again_is_removed_if_it_cannot_be_rewritten() {
    let spoken = |word| OverrideState { word, ..OverrideState::default() };
    let both = spoken_of(ModeTarget::Observe, &[("a.test", CLOSE), ("c.test", CLOSE)], None);
    let one = spoken_of(ModeTarget::Enforce, &[("a.test", CLOSE)], both.as_ref());
    assert!(!stays(&mut spoken(both.clone()), &mut spoken(one.clone())));
    assert!(stays(&mut spoken(one), &mut spoken(both.clone())), "a stricter file stays");
    // The configuration would let the other site observe, which the stored override forbids.
    let strict = spoken_of(ModeTarget::Enforce, &[("b.test", OBSERVE)], both.as_ref());
    let mixed = spoken_of(ModeTarget::Enforce, &[("a.test", CLOSE)], strict.as_ref());
    assert!(stays(&mut spoken(strict), &mut spoken(mixed)));
}
