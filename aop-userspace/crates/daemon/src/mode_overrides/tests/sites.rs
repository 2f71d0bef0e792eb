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
fn of_sites(to: ModeTarget, sites: &[(&str, OnRefusal)]) -> (ModeChange, ConfiguredModes) {
    let names = sites.iter().map(|(site, _)| (*site).to_owned()).collect();
    let sites = sites.iter().map(|(site, on_refusal)| ((*site).to_owned(), *on_refusal));
    let configured = ConfiguredModes { mode: Mode::Observe, sites: sites.collect() };
    (ModeChange { sites: names, ..ModeChange::to(to) }, configured)
}

/// The overrides after this command for sites.
fn overrides_of(
    to: ModeTarget,
    sites: &[(&str, OnRefusal)],
    before: Option<&ModeOverrides>,
) -> Option<ModeOverrides> {
    let (said, configured) = of_sites(to, sites);
    ModeOverrides::with_command(before, &said, &configured, at(1))
}

const CLOSE: OnRefusal = OnRefusal::Close;
const OBSERVE: OnRefusal = OnRefusal::Observe;

#[test]
fn overrides_of_sites_and_of_packets_are_independent() {
    let both = overrides_of(ModeTarget::Observe, &[("a.test", CLOSE)], Some(&everything()));
    let both = both.expect("overrides");
    assert_eq!(both.modes().sites, [("a.test".to_owned(), Mode::Observe)].into());
    let packets = Modes { sites: BTreeMap::new(), ..both.modes() };
    assert_eq!(packets, everything().modes());
    // `default` without names concerns packets alone: it must neither weaken nor tighten a site.
    let left = ModeOverrides::with_command(
        Some(&both),
        &said(ModeTarget::Default, &[], &[]),
        &Mode::Observe.into(),
        at(2),
    );
    let left = left.expect("overrides");
    assert!(left.modes().ports.is_empty() && left.modes().general == Mode::Observe);
    assert_eq!(left.modes().sites.len(), 1);
    assert_eq!(overrides_of(ModeTarget::Default, &[("a.test", CLOSE)], Some(&left)), None);
    // Setting the configured mode removes the override.
    assert_eq!(overrides_of(ModeTarget::Enforce, &[("a.test", CLOSE)], Some(&left)), None);
    assert_eq!(overrides_of(ModeTarget::Observe, &[("b.test", OBSERVE)], None), None);
}

#[test]
fn a_changed_on_refusal_removes_the_override_and_a_changed_firewall_mode_does_not() {
    let overrides = overrides_of(ModeTarget::Observe, &[("a.test", CLOSE)], None);
    let overrides = overrides_of(ModeTarget::Enforce, &[("b.test", OBSERVE)], overrides.as_ref())
        .expect("overrides");
    for firewall in ["", "[firewall]\nmode = \"enforce\"", "[firewall]\nmode = \"off\""] {
        let (left, lost) = overrides.clone().reconcile(&two_sites(firewall));
        let left = left.expect("overrides");
        assert_eq!((left.modes().sites.len(), lost.len()), (2, 0), "{firewall}: {lost:?}");
    }
    let mut config = two_sites("");
    config.live.sites[0].on_refusal = OBSERVE;
    config.live.sites.truncate(1);
    let (left, lost) = overrides.reconcile(&config);
    assert_eq!((left, lost.len()), (None, 2), "{lost:?}");
    assert!(lost[0].contains("a.test") && lost[1].contains("b.test"), "{lost:?}");
}

#[test]
fn where_two_sites_may_not_share_an_upstream_the_stricter_mode_wins() {
    let share = |config: &mut Config| {
        let upstream = config.live.sites[1].upstream.clone();
        config.live.sites[0].upstream = upstream;
    };
    let mode = |overrides: Option<ModeOverrides>, site: &str| {
        overrides.and_then(|it| it.modes().sites.get(site).copied())
    };
    // One observes by override: the override is dropped.
    let mut config = two_sites("");
    share(&mut config);
    config.live.sites[1].on_refusal = CLOSE;
    let overrides =
        overrides_of(ModeTarget::Observe, &[("a.test", CLOSE)], None).expect("overrides");
    let (left, lost) = overrides.reconcile(&config);
    assert_eq!((mode(left, "a.test"), lost.len()), (None, 1), "{lost:?}");
    // One refuses by override: the other one is made to refuse, too.
    let mut config = two_sites("");
    share(&mut config);
    config.live.sites[0].on_refusal = OBSERVE;
    let overrides =
        overrides_of(ModeTarget::Enforce, &[("b.test", OBSERVE)], None).expect("overrides");
    let (left, lost) = overrides.reconcile(&config);
    assert_eq!((mode(left, "a.test"), lost.len()), (Some(Mode::Enforce), 1), "{lost:?}");
}

#[test]
fn files_without_sites_are_read_and_files_with_sites_are_read_back() {
    let old = r#"{"set_at":"1970-01-01T00:00:03Z","configured":"observe","general":"enforce",
        "ports":{"443":"observe"},"interfaces":{}}"#;
    let read = |text: &[u8]| {
        let document: OverridesFile = serde_json::from_slice(text).expect("a document");
        document.state((at(5), Instant::now()))
    };
    let overrides = read(old.as_bytes()).overrides.expect("overrides");
    assert_eq!((overrides.modes().general, overrides.modes().sites.len()), (Mode::Enforce, 0));

    let dir = tempfile::tempdir().expect("a directory");
    let (said, configured) = of_sites(ModeTarget::Enforce, &[("b.test", OBSERVE)]);
    let said = ModeChange { confirm_seconds: Some(60), confirm_pulls: Some(3), ..said };
    let mut state = OverrideState::default()
        .with_command(&said, configured, (at(1), Instant::now()))
        .expect("it waits");
    state.store(dir.path()).expect("stored");
    let text = fs::read(dir.path().join(NAME)).expect("kept");
    let file: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let site = serde_json::json!({"mode": "enforce", "configured": "observe"});
    assert_eq!(
        (&file["sites"]["b.test"], &file["pending"]["sites"]["b.test"]),
        (&site, &"observe".into())
    );
    let found = read(&text);
    assert_eq!(found.overrides, state.overrides);
    let (stored, was) = (found.pending().expect("it waits"), state.pending().expect("it waits"));
    assert_eq!(stored, was);
    assert_eq!((stored.pulls, stored.reverts_to.as_str()), (Some(3), "site b.test: observe"));
    // Overrides of packets alone write no field that an older version does not know.
    let packets = OverridesFile::of(&everything()).text().expect("text");
    assert!(!String::from_utf8(packets).expect("text").contains("sites"));
}

#[test]
fn with_a_damaged_file_every_site_refuses() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = two_sites("[firewall]\nmode = \"off\"");
    config.fixed.paths.state = dir.path().to_owned();
    let observing = |state: &OverrideState| {
        let sites = state.sites(&config.live).into_iter();
        sites.filter(|it| it.on_refusal == OBSERVE).map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(observing(&OverrideState::load(&config)), ["b.test"], "nothing is kept");
    fs::write(dir.path().join(NAME), "{").expect("written");
    let (state, lost) = OverrideState::load(&config).reconcile(&config);
    assert_eq!((observing(&state), lost), (Vec::<String>::new(), Vec::new()));
    assert!(state.trouble.is_some_and(|it| it.contains("every site refuses")));
}

#[test]
fn only_new_pulls_of_the_named_sites_confirm() {
    let now = (at(1), Instant::now());
    let served = |a: u64, b: u64| [("a.test".to_owned(), a), ("b.test".to_owned(), b)];
    let begun = |said: ModeChange, configured: ConfiguredModes| {
        let said = ModeChange { confirm_seconds: Some(60), confirm_pulls: Some(2), ..said };
        OverrideState::default().with_command(&said, configured, now).expect("it waits")
    };
    let (said_of_b, configured) = of_sites(ModeTarget::Enforce, &[("b.test", OBSERVE)]);
    let mut site = begun(said_of_b, configured);
    assert_eq!(site.count_pulls(&served(9, 9)), None, "pulls from before");
    assert_eq!(
        site.count_pulls(&served(99, 10)),
        None,
        "one pull; those of other sites do not count"
    );
    assert_eq!(site.pending().and_then(|it| it.pulls_so_far), Some(1));
    // The terminator has restarted, and counts from 0.
    assert_eq!(site.count_pulls(&served(0, 0)), None);
    assert!(site.waits_for_pulls().is_some());
    assert!(
        site.count_pulls(&served(0, 2))
            .is_some_and(|line| line.contains("2 authenticated pulls of b.test"))
    );
    assert_eq!(
        (site.waits_for_pulls(), site.pending(), site.overrides.is_some()),
        (None, None, true)
    );

    let mut packets = begun(said(ModeTarget::Enforce, &[], &[]), Mode::Observe.into());
    assert_eq!(packets.count_pulls(&served(1, 1)), None);
    assert!(packets.count_pulls(&served(2, 2)).is_some());

    let refused = |seconds, pulls| {
        let enforce = said(ModeTarget::Enforce, &[], &[]);
        let said = ModeChange { confirm_seconds: seconds, confirm_pulls: Some(pulls), ..enforce };
        OverrideState::default().with_command(&said, Mode::Observe, now).err()
    };
    assert!(refused(None, 2).is_some() && refused(Some(60), 0).is_some());
}
