//! The rows of each pane as a table: sorted, not yet clipped.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    time::Duration,
};

use aop_api::{Status, duration_text};

use super::{
    model::{CounterKey, Model, Pane, SortOrder},
    rates::{CounterHistory, format_rate},
    strangers::{self, StrangerOrder, StrangerRow},
};
use crate::output::{Tone, age, date};

/// The columns and rows of a pane.
pub(super) struct PaneTable {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// The text if there are no rows.
    pub(super) none: &'static str,
}

pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) width: Width,
}

/// How wide a column is.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// This many columns of the terminal, text aligned left.
    Left(usize),
    /// This many columns of the terminal, text aligned right.
    Right(usize),
    /// The width of the longest cell. Only for addresses, whose length is bounded.
    Fit,
    /// An equal share of the space that the other columns leave.
    Rest,
    /// For bars, of which the latest are shown: a share of the same space, down to nothing if the
    /// texts need it.
    Bars,
}

pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) tone: Tone,
}

const fn column(head: &'static str, width: Width) -> Column {
    Column { head, width }
}

const TRAFFIC: [Column; 5] = [
    column("event", Width::Left(18)),
    column("reason, site", Width::Rest),
    column("per s", Width::Right(8)),
    column("total", Width::Right(10)),
    column("trend", Width::Bars),
];
const STRANGERS: [Column; 6] = [
    column("source", Width::Fit),
    column("samples", Width::Right(7)),
    column("recorded", Width::Right(8)),
    column("last", Width::Right(9)),
    column("port", Width::Right(6)),
    column("reason", Width::Rest),
];
const PEERS: [Column; 4] = [
    column("peer", Width::Fit),
    column("handshakes", Width::Right(11)),
    column("last", Width::Right(13)),
    column("site", Width::Rest),
];
const SITES: [Column; 5] = [
    column("site", Width::Rest),
    column("pulls/s", Width::Right(9)),
    column("refused/s", Width::Right(10)),
    column("refused", Width::Right(10)),
    column("upstream, next expiry", Width::Rest),
];

/// The table of the current pane; `at` is the time on the model's clock.
pub(super) fn of(model: &Model, at: Duration) -> PaneTable {
    let (columns, rows): (&'static [Column], _) = match model.pane {
        Pane::Traffic => (&TRAFFIC, traffic(model)),
        Pane::Strangers => (&STRANGERS, strangers(model, at)),
        Pane::Peers => (&PEERS, peers(model)),
        Pane::Sites => (&SITES, sites(model)),
    };
    let none = match model.pane {
        Pane::Traffic => "nothing has been counted yet",
        Pane::Strangers => "no drop has been sampled or recorded yet",
        Pane::Peers => "no peer has authenticated yet",
        Pane::Sites => "no site has been pulled from yet",
    };
    PaneTable { columns, rows, none }
}

/// A counter in the traffic pane.
struct TrafficRow<'a> {
    /// 0 for packets, then 1 for handshakes, then 2 for requests.
    group: u8,
    event: String,
    reason: String,
    tone: Tone,
    counter: &'a CounterHistory,
}

impl<'a> TrafficRow<'a> {
    /// `None` for a counter that has no row in this pane.
    fn new(key: &CounterKey, counter: &'a CounterHistory) -> Option<Self> {
        let of_site = |site: &str, reason: &str| format!("{reason}, {site}");
        let (group, event, reason, tone) = match key {
            CounterKey::Packets { action, reason } => {
                let tone = if action == "pass" { Tone::Good } else { Tone::Bad };
                (0, &*format!("packets {}", action.replace('_', " ")), reason.clone(), tone)
            }
            CounterKey::Accepted => (1, "pulls accepted", String::new(), Tone::Good),
            CounterKey::Refused { site, reason } => {
                (1, "pulls refused", of_site(site, reason), Tone::Bad)
            }
            CounterKey::Relayed => (2, "requests relayed", String::new(), Tone::Good),
            CounterKey::Denied { site, reason } => {
                (2, "requests refused", of_site(site, reason), Tone::Bad)
            }
            CounterKey::Pulls { .. } => return None,
        };
        Some(Self { group, event: event.to_owned(), reason, tone, counter })
    }
}

fn traffic(model: &Model) -> Vec<Row> {
    let counters = model.rates.iter();
    let mut found: Vec<TrafficRow<'_>> =
        counters.filter_map(|(key, counter)| TrafficRow::new(key, counter)).collect();
    let order = model.sort_order();
    found.sort_by(|row, other| {
        let by_order = if order == SortOrder::Rate {
            falling(row.counter.rate(), other.counter.rate())
        } else if order == SortOrder::Total {
            other.counter.count().cmp(&row.counter.count())
        } else {
            Ordering::Equal
        };
        let by_name = || (&row.event, &row.reason).cmp(&(&other.event, &other.reason));
        row.group.cmp(&other.group).then(by_order).then_with(by_name)
    });
    let row = |TrafficRow { event, reason, tone, counter, .. }: TrafficRow<'_>| {
        let (rate, total) = (format_rate(counter.rate()), counter.count().to_string());
        Row { cells: vec![event, reason, rate, total, counter.sparkline(usize::MAX)], tone }
    };
    found.into_iter().map(row).collect()
}

fn falling(rate: Option<f64>, other: Option<f64>) -> Ordering {
    other.unwrap_or(-1.0).total_cmp(&rate.unwrap_or(-1.0))
}

fn strangers(model: &Model, at: Duration) -> Vec<Row> {
    let by_drops = model.sort_order() == SortOrder::Drops;
    let order = if by_drops { StrangerOrder::Drops } else { StrangerOrder::LastSeen };
    let rows = strangers::merged(&model.strangers.sorted(order), &model.recorded, at, order);
    let row = |StrangerRow { source, samples, recorded, age, port, remark }| Row {
        cells: vec![
            source,
            samples.to_string(),
            recorded.to_string(),
            duration_text(age),
            port.map_or_else(|| "?".to_owned(), |port| port.to_string()),
            remark,
        ],
        tone: Tone::Plain,
    };
    rows.into_iter().map(row).collect()
}

fn peers(model: &Model) -> Vec<Row> {
    let Some(status) = &model.status else { return Vec::new() };
    let mut peers: Vec<_> = status.peers.iter().collect();
    let order = model.sort_order();
    if order == SortOrder::Handshakes {
        peers.sort_by_key(|peer| Reverse(peer.handshakes));
    } else if order == SortOrder::Address {
        peers.sort_by_key(|peer| peer.address);
    } else {
        peers.sort_by_key(|peer| Reverse(peer.last_seen));
    }
    let row = |peer: &aop_api::PeerStatus| Row {
        cells: vec![
            peer.address.to_string(),
            peer.handshakes.to_string(),
            age(peer.last_seen),
            peer.site.clone().unwrap_or_else(|| "no longer configured".into()),
        ],
        tone: Tone::Plain,
    };
    peers.into_iter().map(row).collect()
}

/// The counters and remarks of one site.
#[derive(Default)]
struct SiteRow {
    pulls: Option<f64>,
    refusing: Option<f64>,
    refused: u64,
    remarks: Vec<String>,
    bad: bool,
}

fn sites(model: &Model) -> Vec<Row> {
    let mut found: Vec<(String, SiteRow)> = known_sites(model).into_iter().collect();
    let order = model.sort_order();
    found.sort_by(|(name, site), (other_name, other)| {
        let by_order = if order == SortOrder::Refused {
            falling(site.refusing, other.refusing).then_with(|| other.refused.cmp(&site.refused))
        } else if order == SortOrder::Pulls {
            falling(site.pulls, other.pulls)
        } else {
            Ordering::Equal
        };
        by_order.then_with(|| name.cmp(other_name))
    });
    let row = |(name, site): (String, SiteRow)| Row {
        cells: vec![
            if name == "-" { "no site".to_owned() } else { name },
            format_rate(site.pulls),
            format_rate(site.refusing),
            site.refused.to_string(),
            site.remarks.join("; "),
        ],
        tone: if site.bad { Tone::Bad } else { Tone::Plain },
    };
    found.into_iter().map(row).collect()
}

fn known_sites(model: &Model) -> BTreeMap<String, SiteRow> {
    let mut sites: BTreeMap<String, SiteRow> = BTreeMap::new();
    let add = |sum: &mut Option<f64>, rate: Option<f64>| {
        *sum = rate.map(|rate| sum.unwrap_or_default() + rate).or(*sum);
    };
    for (key, counter) in model.rates.iter() {
        match key {
            CounterKey::Pulls { site, .. } => {
                add(&mut sites.entry(site.clone()).or_default().pulls, counter.rate());
            }
            CounterKey::Refused { site, .. } | CounterKey::Denied { site, .. } => {
                let site = sites.entry(site.clone()).or_default();
                add(&mut site.refusing, counter.rate());
                site.refused = site.refused.saturating_add(counter.count());
            }
            CounterKey::Packets { .. } | CounterKey::Accepted | CounterKey::Relayed => {}
        }
    }
    if let Some(status) = &model.status {
        add_remarks(status, &mut sites);
    }
    sites
}

fn add_remarks(status: &Status, sites: &mut BTreeMap<String, SiteRow>) {
    for upstream in &status.upstreams {
        let site = sites.entry(upstream.site.clone()).or_default();
        site.bad |= upstream.good == Some(false);
        site.remarks.push(match (upstream.good, &upstream.error) {
            (Some(true), _) => "upstream good".to_owned(),
            (Some(false), error) => {
                format!("upstream BAD: {}", error.as_deref().unwrap_or("no reason given"))
            }
            (None, _) => "upstream not checked yet".to_owned(),
        });
    }
    for expiry in &status.ends {
        let site = sites.entry(expiry.site.clone()).or_default();
        if !site.remarks.iter().any(|remark| remark.starts_with("expires ")) {
            let what = expiry.what.as_str().replace('_', " ");
            site.remarks.push(format!("expires {} ({what})", date(expiry.not_after)));
        }
    }
}
