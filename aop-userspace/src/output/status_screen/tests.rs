//! The lines of the status at 80 columns, for the worst of all hosts.

use aop_api::{
    CrashReport, CrashedProcess, DaemonReport, InterfaceStatus, Opening, PeerStatus, PendingMode,
    ReloadResult, SeenIdentity, SiteMode, VerdictCount, timestamp,
};
use aop_control::status_from_maps;

use super::*;

#[test]
fn the_next_expiry_is_shown_and_one_more_only_if_it_is_soon() {
    let now = Timestamp::UNIX_EPOCH;
    let expiry = |days: i64| Expiry {
        what: "client_ca".into(),
        site: "example.com".into(),
        subject: "CN=".to_owned() + &"x".repeat(60),
        file: "ca.pem".into(),
        not_after: Timestamp::from_second(days * 86_400).expect("a moment"),
    };
    let shown = |days: &[i64]| {
        let all: Vec<Expiry> = days.iter().map(|days| expiry(*days)).collect();
        expiries(&all, now, Colours::Off)
    };
    assert_eq!(shown(&[400, 500]).len(), 1);
    let lines = shown(&[-2, 3, 4]);
    let [over, soon] = &lines[..] else { panic!("{lines:?}") };
    assert!(over.contains("EXPIRED 2 d 0 h ago (1969-12-30 00:00 UTC)"), "{over}");
    assert!(soon.ends_with("…, site example.com, in 3 d 0 h (1970-01-04 00:00 UTC)"), "{soon}");
}

const COLUMNS: usize = 80;

/// Names and texts as long as they come.
fn full() -> Status {
    let mut status = status_from_maps(None, &[]);
    let hour_ago = timestamp(aop_types::unix_seconds() - 3600);
    let later = timestamp(aop_types::unix_seconds() + 250);
    let site = "a-rather-long-name-of-a-site.of-a-customer.example.com".to_owned();
    status.mode = "observe".into();
    status.daemon = Some(DaemonReport {
        pid: 4_194_304,
        uptime_seconds: 86_400 * 300,
        open_connections: 10_000,
        config_changed: None,
    });
    status.interfaces = vec![InterfaceStatus {
        name: "enp0s31f6.1000".into(),
        attach: Some("generic".into()),
        state: "attached".into(),
        attached: true,
        enforcing: false,
    }];
    status.prefixes.source = Some("https://mirror.internal.example.com/lists/cloudflare".into());
    status.prefixes.age_seconds = Some(86_400);
    status.prefixes.next_refresh_seconds = Some(3600);
    status.prefixes.last_error = Some("the list could not be fetched ".repeat(4));
    status.verdicts = vec![VerdictCount {
        interface: "eth0".into(),
        action: "would_drop".into(),
        reason: "unknown_source".into(),
        packets: 12_345_678_901,
        bytes: 9_876_543_210_987,
    }];
    status.peers = vec![PeerStatus {
        address: "2400:cb00:1234:5678:9abc:def0:1234:5678".parse().expect("an address"),
        site: Some(site.clone()),
        handshakes: 1_000_000,
        first_seen: hour_ago,
        last_seen: hour_ago,
    }];
    status.identities = vec![SeenIdentity {
        site: site.clone(),
        subject: "CN=edge.example.com, O=An organisation, C=DE".into(),
        issuer: "CN=ca".into(),
        spki_sha256: "ab".repeat(32),
        serial: "1".into(),
        not_before: hour_ago,
        not_after: later,
        level: aop_api::IdentityLevel::Own,
        client_ca: None,
        first_seen: hour_ago,
        last_seen: hour_ago,
        pulls: 123_456,
        roll: None,
    }];
    status.ends = vec![Expiry {
        what: "server_certificate".into(),
        site: site.clone(),
        subject: "CN=".to_owned() + &"x".repeat(60),
        file: "/etc/letsencrypt/live/example.com/fullchain.pem".into(),
        not_after: later,
    }];
    status.cloudflare = vec![OwnCertificate {
        site: site.clone(),
        level: Some(aop_api::PresentedLevel::Host),
        ends: Some(hour_ago + SignedDuration::from_hours(400)),
        days_left: Some(16),
        step: Some("switched_on".into()),
        waits_for: Some("pulls with it, here and at other hosts".into()),
        last_error: Some("Cloudflare refuses the token ".repeat(4)),
        failed_at: Some(hour_ago),
        failing_since: Some(hour_ago),
    }];
    status.last_reload = Some(ReloadResult {
        at: hour_ago,
        by: ReloadedBy::Files,
        outcome: ReloadOutcome::Refused,
        file: "/etc/aop/aop.toml".into(),
        changed: Vec::new(),
        sites: 0,
        files: 0,
        warnings: Vec::new(),
        error: Some("the certificate has no key ".repeat(8)),
    });
    status.last_crash = Some(CrashReport {
        process: CrashedProcess::Terminator,
        at: hour_ago,
        how: "the terminator process ended, signal: 9 (SIGKILL), and aop with it".into(),
    });
    status.modes.set_at = Some(hour_ago);
    status.modes.configured = Some("enforce".into());
    status.modes.sites = vec![SiteMode {
        site: site.clone(),
        mode: "observe".into(),
        configured: Some(aop_api::OnRefusalName::Close),
        said: true,
    }];
    status.modes.pending = Some(PendingMode {
        mode: "enforce".into(),
        ports: vec![443, 8443],
        interfaces: Vec::new(),
        sites: vec![site],
        pulls: Some(20),
        pulls_so_far: Some(3),
        reverts_to: "observe; port 443: enforce".into(),
        until: later,
    });
    status.openings = vec![Opening {
        network: "2001:db8:1234:5678::/64".parse().expect("a network"),
        since: hour_ago,
        until: later,
    }];
    status.warnings = vec!["a warning of many words ".repeat(9), "a short one".into()];
    status
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_word_is_broken() {
    let status = full();
    let wide = render_status(&status, Colours::Off, 10_000);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for columns in [60, COLUMNS, 120] {
        let screen = render_status(&status, Colours::Off, columns);
        let too_wide = screen.lines().find(|line| line.chars().count() > columns);
        assert_eq!(too_wide, None, "{screen}");
        assert_eq!(words(&screen), words(&wide), "at {columns} columns");
    }
    let coloured = render_status(&status, Colours::On, COLUMNS);
    let lines = coloured.lines().count();
    assert_eq!(lines, render_status(&status, Colours::Off, COLUMNS).lines().count());
}

#[test]
fn the_verdict_is_first_and_last_and_the_warnings_are_in_the_last_24_lines() {
    let screen = render_status(&full(), Colours::Off, COLUMNS);
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[0].starts_with("aop 0.1.0: WARNING: observing, up 300 d 0 h"), "{screen}");
    assert_eq!(lines.last(), Some(&"WARNING: 7 warnings above"), "{screen}");
    let first_warning = lines.iter().position(|line| line.starts_with("! ")).expect("a warning");
    assert!(lines.len() - first_warning <= 24, "{screen}");
    let warnings = lines.iter().filter(|line| line.starts_with("! ")).count();
    assert_eq!(warnings, 7, "{screen}");
}

#[test]
fn the_verdict_names_each_failure() {
    let mut status = full();
    status.warnings.clear();
    status.interfaces[0].attached = false;
    status.interfaces[0].state = aop_api::InterfaceState::Foreign;
    let screen = render_status(&status, Colours::Off, COLUMNS);
    let last = "CRITICAL: packets are not filtered; 5 warnings above";
    assert_eq!(screen.lines().last(), Some(last), "{screen}");
    let line = check_line(&status, &status.health(Timestamp::now()));
    assert!(line.starts_with("AOP CRITICAL - packets are not filtered; open to 2001:"), "{line}");
    assert!(line.ends_with(" (and 4 more: `aop status`)"), "{line}");
}

#[test]
fn the_check_is_one_line_without_the_mark_of_figures() {
    let mut status = full();
    status.warnings = vec!["one|two\nthree".into()];
    (status.openings, status.modes.pending) = (Vec::new(), None);
    (status.last_crash, status.last_reload) = (None, None);
    status.cloudflare.clear();
    let line = check_line(&status, &status.health(Timestamp::now()));
    assert_eq!(
        line,
        "AOP WARNING - observing, up 300 d 0 h (process 4194304), 10000 connections open; \
         one two three"
    );
}
