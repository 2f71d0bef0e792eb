//! The state of `aop top`: readings become rates, and keys change what is shown. This module
//! neither draws nor asks the daemon.

use std::{collections::BTreeMap, time::Duration};

use aop_api::Status;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{rates::Rates, strangers::Strangers};
use crate::drop_line::DropLine;

/// The intervals that + and - step through, in seconds.
const INTERVALS: [u64; 6] = [1, 2, 5, 10, 30, 60];

pub(super) struct Model {
    /// The latest reading.
    pub(super) status: Option<Status>,
    /// Why there is no newer reading.
    pub(super) trouble: Option<String>,
    pub(super) rates: Rates<Key>,
    pub(super) strangers: Strangers,
    pub(super) following: Following,
    pub(super) pane: Pane,
    /// Rows above the first one that is shown.
    pub(super) scroll: usize,
    /// The order of each pane, as an index into [`Pane::orders`].
    sorted_by: [usize; 4],
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) interval: Duration,
}

/// What a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Packets {
        action: String,
        reason: String,
    },
    Accepted,
    Refused {
        site: String,
        reason: String,
    },
    Relayed,
    Denied {
        site: String,
        reason: String,
    },
    /// Pulls with one client certificate.
    Pulls {
        site: String,
        spki: String,
    },
}

/// Whether sampled drops are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// One in `every` drops is sampled; `lost` samples were lost.
    Drops { every: u32, lost: u64 },
    /// Drops are not sampled, for this reason.
    Nothing(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Traffic,
    Strangers,
    Peers,
    Sites,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Traffic, Self::Strangers, Self::Peers, Self::Sites];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Strangers => "strangers",
            Self::Peers => "peers",
            Self::Sites => "sites",
        }
    }

    /// The orders of its rows; the first one is the default.
    pub(super) const fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Traffic => &["rate", "total", "name"],
            Self::Strangers => &["drops", "last seen"],
            Self::Peers => &["last seen", "handshakes", "address"],
            Self::Sites => &["refused", "pulls", "name"],
        }
    }
}

/// What to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Quit,
}

impl Model {
    pub(super) fn new(interval: Duration, following: Following) -> Self {
        Self {
            status: None,
            trouble: None,
            rates: Rates::default(),
            strangers: Strangers::default(),
            following,
            pane: Pane::Traffic,
            scroll: 0,
            sorted_by: [0; 4],
            paused: false,
            help: false,
            interval,
        }
    }

    /// Takes a reading, or the reason why there is none. `at` is the time on a monotonic clock.
    pub(super) fn hear(&mut self, at: Duration, reading: Result<Status, String>) {
        if self.paused {
            return;
        }
        match reading {
            Ok(status) => {
                self.rates.read(at, counts(&status));
                (self.status, self.trouble) = (Some(status), None);
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    /// Counts a sampled drop, even while the readings are paused.
    pub(super) fn dropped(&mut self, drop: &DropLine, at: Duration) {
        self.strangers.count(drop, at);
    }

    /// The order of the current pane.
    pub(super) fn order(&self) -> &'static str {
        let orders = self.pane.orders();
        orders[self.sorted_by[self.pane as usize] % orders.len()]
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    pub(super) fn press(&mut self, key: KeyEvent) -> Then {
        if key.kind == KeyEventKind::Release {
            return Then::GoOn;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Then::Quit,
            KeyCode::Char(_) if control => {}
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Then::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => {
                self.sorted_by[self.pane as usize] += 1;
                self.scroll = 0;
            }
            KeyCode::Char(digit @ '1'..='4') => self.show(digit as usize - '1' as usize),
            KeyCode::Tab | KeyCode::Right => self.show(self.pane as usize + 1),
            KeyCode::BackTab | KeyCode::Left => self.show(self.pane as usize + 3),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_add(10),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::Home => self.scroll = 0,
            KeyCode::Char('+' | '=') => self.slower(),
            KeyCode::Char('-') => self.faster(),
            _ => {}
        }
        Then::GoOn
    }

    fn show(&mut self, pane: usize) {
        (self.pane, self.scroll) = (Pane::ALL[pane % Pane::ALL.len()], 0);
    }

    fn slower(&mut self) {
        let mut next = INTERVALS.iter().map(|seconds| Duration::from_secs(*seconds));
        self.interval = next.find(|next| *next > self.interval).unwrap_or(self.interval);
    }

    fn faster(&mut self) {
        let mut next = INTERVALS.iter().rev().map(|seconds| Duration::from_secs(*seconds));
        self.interval = next.find(|next| *next < self.interval).unwrap_or(self.interval);
    }

    /// The range of `total` rows that is shown in `height` lines. Scrolling never goes past the
    /// last row.
    pub(super) fn window(&mut self, total: usize, height: usize) -> std::ops::Range<usize> {
        self.scroll = self.scroll.min(total.saturating_sub(height));
        self.scroll..total.min(self.scroll + height)
    }
}

/// All counters of a status; packets of all interfaces together.
fn counts(status: &Status) -> BTreeMap<Key, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |key: Key, by: u64| {
        let sum: &mut u64 = counts.entry(key).or_default();
        *sum = sum.saturating_add(by);
    };
    for verdict in &status.verdicts {
        let (action, reason) = (verdict.action.clone(), verdict.reason.clone());
        count(Key::Packets { action, reason }, verdict.packets);
    }
    if status.daemon.is_some() {
        count(Key::Accepted, status.handshakes.accepted);
    }
    for refused in &status.handshakes.refused {
        let (site, reason) = (refused.site.clone(), refused.reason.clone());
        count(Key::Refused { site, reason }, refused.count);
    }
    if status.requests.relayed > 0 {
        count(Key::Relayed, status.requests.relayed);
    }
    for refused in &status.requests.refused {
        let (site, reason) = (refused.site.clone(), refused.reason.clone());
        count(Key::Denied { site, reason }, refused.count);
    }
    for identity in &status.identities {
        let (site, spki) = (identity.site.clone(), identity.spki_sha256.clone());
        count(Key::Pulls { site, spki }, identity.pulls);
    }
    counts
}
