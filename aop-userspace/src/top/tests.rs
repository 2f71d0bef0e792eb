//! Tests of the drawn screen, at usual and at absurd sizes.

use std::time::Duration;

use aop_api::{
    DaemonReport, Expiry, InterfaceStatus, PeerStatus, RefusalCount, SeenIdentity, Status,
    VerdictCount,
};
use aop_control::status_from_maps;
use aop_firewall::DroppedPacket;
use jiff::Timestamp;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

use super::{
    draw,
    model::{AfterKey, DropSampling, Model, Pane, SortOrder},
};
use crate::output::{Colours, dropped_packet};

const EVIL: &str = "\u{1b}[31mevil\u{202e}\n世";

fn status(turn: u64) -> Status {
    let mut status = status_from_maps(None, &[]);
    let verdict = |action: &str, reason: &str, packets| VerdictCount {
        interface: "eth0".into(),
        action: action.into(),
        reason: reason.into(),
        packets,
        bytes: 60 * packets,
    };
    let refused = |site: &str, reason: &str, count| RefusalCount {
        site: site.into(),
        reason: reason.into(),
        count,
    };
    let address = |n: u32| std::net::Ipv4Addr::from_bits(n).into();
    let moment = Timestamp::UNIX_EPOCH;
    status.mode = "enforce".into();
    status.daemon = Some(DaemonReport {
        pid: 812,
        uptime_seconds: 90_000,
        open_connections: 12,
        config_changed: None,
    });
    status.interfaces.push(InterfaceStatus {
        name: "eth0".into(),
        attach: Some("native".into()),
        state: "attached".into(),
        attached: true,
        enforcing: true,
    });
    status.verdicts = vec![
        verdict("pass", "admitted", 1000 * turn),
        verdict("drop", "unknown_source", 500 * turn),
        verdict("would_drop", "fragment", turn),
    ];
    status.handshakes.accepted = 10 * turn;
    status.handshakes.refused =
        vec![refused("example.com", "unknown_ca", 2 * turn), refused(EVIL, "no_name", turn)];
    status.prefixes.v4 = 15;
    status.prefixes.age_seconds = Some(7200);
    status.peers = (0..1000)
        .map(|n| PeerStatus {
            address: address(n),
            site: Some(EVIL.into()),
            handshakes: u64::from(n),
            first_seen: moment,
            last_seen: moment,
        })
        .collect();
    status.peers_total = 2000;
    status.identities.push(SeenIdentity {
        site: "example.com".into(),
        subject: EVIL.into(),
        issuer: EVIL.into(),
        spki_sha256: "ab".into(),
        serial: "1".into(),
        not_before: moment,
        not_after: moment,
        level: aop_api::IdentityLevel::Own,
        client_ca: None,
        first_seen: moment,
        last_seen: moment,
        pulls: 3 * turn,
        roll: None,
    });
    status.ends.push(Expiry {
        what: "server_certificate".into(),
        site: "example.com".into(),
        subject: EVIL.into(),
        file: EVIL.into(),
        not_after: moment,
    });
    status.warnings = vec![format!("a warning {EVIL}"), "another".into(), "a third one".into()];
    status
}

fn busy() -> Model {
    let second = Duration::from_secs(1);
    let mut model = Model::new(second, DropSampling::On { every: 16, lost: 3 });
    for turn in 1..=3 {
        model.apply_reading(second * turn, Ok(status(turn.into())));
    }
    let drop = DroppedPacket {
        interface: EVIL.into(),
        port: None,
        headers: vec![EVIL.into()],
        ..dropped_packet(Some(std::net::Ipv6Addr::LOCALHOST.into()), 0)
    };
    model.count_drop(&drop, second);
    model
}

/// Draws the model and returns the rows of the screen.
fn drawn(model: &mut Model, width: u16, height: u16, colours: Colours) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let at = Duration::from_secs(5);
    terminal.draw(|frame| draw::all(frame, model, at, colours)).expect("drawn");
    let buffer = terminal.backend().buffer().clone();
    if colours == Colours::Off {
        let colourless = |cell: &ratatui::buffer::Cell| {
            use ratatui::style::Color::Reset;
            cell.fg == Reset && cell.bg == Reset
        };
        assert!(buffer.content().iter().all(colourless), "a colour without colours");
    }
    let rows = buffer.content().chunks(usize::from(width).max(1));
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
}

fn press(model: &mut Model, code: KeyCode) -> AfterKey {
    model.on_key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn every_pane_shows_its_rows_and_the_keys_at_every_supported_size() {
    for (width, height) in [(80, 24), (60, 16), (200, 50)] {
        for (pane, words) in [
            ('1', &["packets drop", "unknown_source", "500", "pulls refused", "unknown_ca"][..]),
            ('2', &["::1", "drop unknown_source", "1 of 16 drops", "3 drops came too fast"]),
            ('3', &["0.0.0.0", "handshakes", "2000 in all"]),
            ('4', &["example.com", "3.0", "expires 1970"]),
        ] {
            let mut model = busy();
            press(&mut model, KeyCode::Char(pane));
            let rows = drawn(&mut model, width, height, Colours::On);
            let screen = rows.join("\n");
            for word in words {
                assert!(screen.contains(word), "no {word} at {width}x{height}:\n{screen}");
            }
            assert!(rows[0].starts_with("! a warning "), "{screen}");
            for word in ["ENFORCING", "up 1 d 1 h", "eth0 enforcing", "confirmed 2 h 0 min ago"] {
                assert!(screen.contains(word), "no {word} at {width}x{height}:\n{screen}");
            }
            assert!(rows[usize::from(height) - 1].starts_with("q quit"), "{screen}");
        }
    }
}

#[test]
fn a_small_terminal_shows_the_size_that_is_needed_and_no_size_panics() {
    let screen = drawn(&mut busy(), 20, 5, Colours::Off).concat();
    assert!(screen.contains("60x16"), "{screen}");
    for width in (0..=130).step_by(3) {
        for height in 0..=40 {
            for pane in 0..4 {
                let mut model = busy();
                model.pane = Pane::ALL[pane];
                model.scroll = 5000;
                model.shows_help = height % 7 == 0;
                drawn(&mut model, width, height, Colours::Off);
            }
        }
    }
    drawn(&mut Model::new(Duration::ZERO, DropSampling::Off("why".into())), 80, 24, Colours::Off);
}

#[test]
fn text_from_peers_is_always_escaped() {
    for pane in Pane::ALL {
        let mut model = busy();
        model.pane = pane;
        model.error = Some(EVIL.into());
        let screen = drawn(&mut model, 200, 50, Colours::Off).concat();
        let bad = |letter: char| letter.is_control() || ['\u{202e}', '世'].contains(&letter);
        assert!(!screen.contains(bad), "{screen:?}");
        assert!(screen.contains("\\u{1b}[31mevil\\u{202e}\\u{a}\\u{4e16}"), "{screen}");
    }
}

#[test]
fn keys_change_pane_order_interval_and_pause_and_three_keys_quit() {
    let mut model = busy();
    assert_eq!((model.pane, model.sort_order()), (Pane::Traffic, SortOrder::Rate));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.pane, Pane::Peers);
    press(&mut model, KeyCode::Char('s'));
    assert_eq!(model.sort_order(), SortOrder::Handshakes);
    let screen = drawn(&mut model, 80, 24, Colours::Off).join("\n");
    let best = screen.find("0.0.3.231").expect("the one with most");
    assert!(screen.find("0.0.3.230").is_some_and(|second| best < second), "{screen}");
    press(&mut model, KeyCode::Char('j'));
    assert!(!drawn(&mut model, 80, 24, Colours::Off).join("\n").contains("0.0.3.231"));
    press(&mut model, KeyCode::BackTab);
    assert_eq!((model.pane, model.scroll), (Pane::Strangers, 0));
    press(&mut model, KeyCode::Char('+'));
    assert_eq!(model.interval, Duration::from_secs(2));
    press(&mut model, KeyCode::Char('-'));
    press(&mut model, KeyCode::Char('-'));
    assert_eq!(model.interval, Duration::from_secs(1));
    press(&mut model, KeyCode::Char('p'));
    model.apply_reading(Duration::from_secs(9), Err("no answer".into()));
    assert_eq!(model.error, None);
    press(&mut model, KeyCode::Char('p'));
    model.apply_reading(Duration::from_secs(9), Err("no answer".into()));
    assert!(drawn(&mut model, 80, 24, Colours::Off)[0].contains("out of date: no answer"));
    press(&mut model, KeyCode::Char('?'));
    assert_eq!(press(&mut model, KeyCode::Esc), AfterKey::Continue);
    assert_eq!(press(&mut model, KeyCode::Esc), AfterKey::Quit);
    assert_eq!(press(&mut model, KeyCode::Char('q')), AfterKey::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.on_key(interrupt), AfterKey::Quit);
}
