//! The state of `aop top`: readings become rates, and keys change what is shown. This module
//! neither draws nor asks the daemon.

use std::{collections::BTreeMap, time::Duration};

use aop_api::{Status, StrangerStatus};
use aop_firewall::DroppedPacket;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{rates::Rates, strangers::Strangers};

/// The intervals that + and - step through, in seconds.
const INTERVALS: [u64; 6] = [1, 2, 5, 10, 30, 60];

pub(super) struct Model {
    /// The latest reading.
    pub(super) status: Option<Status>,
    /// Why there is no newer reading.
    pub(super) error: Option<String>,
    pub(super) rates: Rates<CounterKey>,
    pub(super) strangers: Strangers,
    /// The strangers on record.
    pub(super) recorded: Vec<StrangerStatus>,
    pub(super) sampling: DropSampling,
    pub(super) pane: Pane,
    /// Rows above the first one that is shown.
    pub(super) scroll: usize,
    /// The order of each pane, as an index into [`Pane::orders`].
    sorted_by: [usize; 4],
    pub(super) paused: bool,
    pub(super) shows_help: bool,
    pub(super) interval: Duration,
}

/// The subject of a counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CounterKey {
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

/// Whether drops are sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DropSampling {
    /// One in `every` drops is sampled; `lost` samples were lost.
    On { every: u32, lost: u64 },
    /// For this reason.
    Off(String),
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
    const fn orders(self) -> &'static [SortOrder] {
        use SortOrder::{Address, Drops, Handshakes, LastSeen, Name, Pulls, Rate, Refused, Total};
        match self {
            Self::Traffic => &[Rate, Total, Name],
            Self::Strangers => &[Drops, LastSeen],
            Self::Peers => &[LastSeen, Handshakes, Address],
            Self::Sites => &[Refused, Pulls, Name],
        }
    }
}

/// The order of the rows of a pane: numbers and times from the largest, names and addresses from
/// the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortOrder {
    Address,
    Drops,
    Handshakes,
    LastSeen,
    Name,
    Pulls,
    Rate,
    Refused,
    Total,
}

impl SortOrder {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Drops => "drops",
            Self::Handshakes => "handshakes",
            Self::LastSeen => "last seen",
            Self::Name => "name",
            Self::Pulls => "pulls",
            Self::Rate => "rate",
            Self::Refused => "refused",
            Self::Total => "total",
        }
    }
}

/// The next step after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterKey {
    Continue,
    Quit,
}

impl Model {
    pub(super) fn new(interval: Duration, sampling: DropSampling) -> Self {
        Self {
            status: None,
            error: None,
            rates: Rates::default(),
            strangers: Strangers::default(),
            recorded: Vec::new(),
            sampling,
            pane: Pane::Traffic,
            scroll: 0,
            sorted_by: [0; 4],
            paused: false,
            shows_help: false,
            interval,
        }
    }

    /// Takes a reading, or the reason why there is none. `at` is the time on a monotonic clock.
    pub(super) fn apply_reading(&mut self, at: Duration, reading: Result<Status, String>) {
        if self.paused {
            return;
        }
        match reading {
            Ok(status) => {
                self.rates.read(at, counts(&status));
                (self.status, self.error) = (Some(status), None);
            }
            Err(why) => self.error = Some(why),
        }
    }

    /// Takes the strangers on record.
    pub(super) fn apply_strangers(&mut self, recorded: Vec<StrangerStatus>) {
        if !self.paused {
            self.recorded = recorded;
        }
    }

    /// Counts a sampled drop, even while the readings are paused.
    pub(super) fn count_drop(&mut self, drop: &DroppedPacket, at: Duration) {
        self.strangers.count(drop, at);
    }

    /// The order of the current pane.
    pub(super) fn sort_order(&self) -> SortOrder {
        let orders = self.pane.orders();
        orders[self.sorted_by[self.pane as usize] % orders.len()]
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    pub(super) fn on_key(&mut self, key: KeyEvent) -> AfterKey {
        if key.kind == KeyEventKind::Release {
            return AfterKey::Continue;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return AfterKey::Quit,
            KeyCode::Char(_) if control => {}
            KeyCode::Esc if self.shows_help => self.shows_help = false,
            KeyCode::Char('q') | KeyCode::Esc => return AfterKey::Quit,
            KeyCode::Char('?' | 'h') => self.shows_help = !self.shows_help,
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
        AfterKey::Continue
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
fn counts(status: &Status) -> BTreeMap<CounterKey, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |key: CounterKey, by: u64| {
        let sum: &mut u64 = counts.entry(key).or_default();
        *sum = sum.saturating_add(by);
    };
    for verdict in &status.verdicts {
        let (action, reason) = (verdict.action.to_string(), verdict.reason.clone());
        count(CounterKey::Packets { action, reason }, verdict.packets);
    }
    if status.daemon.is_some() {
        count(CounterKey::Accepted, status.handshakes.accepted);
    }
    for refused in &status.handshakes.refused {
        let (site, reason) = (refused.site.clone(), refused.reason.clone());
        count(CounterKey::Refused { site, reason }, refused.count);
    }
    if status.requests.relayed > 0 {
        count(CounterKey::Relayed, status.requests.relayed);
    }
    for refused in &status.requests.refused {
        let (site, reason) = (refused.site.clone(), refused.reason.clone());
        count(CounterKey::Denied { site, reason }, refused.count);
    }
    for identity in &status.identities {
        let (site, spki) = (identity.site.clone(), identity.spki_sha256.clone());
        count(CounterKey::Pulls { site, spki }, identity.pulls);
    }
    counts
}
