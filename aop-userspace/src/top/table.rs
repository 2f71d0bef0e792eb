//! The rows of each pane as a table: sorted, not yet clipped.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    time::Duration,
};

use aop_api::Status;

use super::{
    model::{Key, Model, Pane},
    rates::{self, Counter},
    strangers::By,
};
use crate::screen::{since, span};

/// The columns and rows of a pane.
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// The text if there are no rows.
    pub(super) none: String,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
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
const STRANGERS: [Column; 5] = [
    column("source", Width::Fit),
    column("samples", Width::Right(8)),
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
pub(super) fn of(model: &Model, at: Duration) -> Table {
    let (columns, rows): (&'static [Column], _) = match model.pane {
        Pane::Traffic => (&TRAFFIC, traffic(model)),
        Pane::Strangers => (&STRANGERS, strangers(model, at)),
        Pane::Peers => (&PEERS, peers(model)),
        Pane::Sites => (&SITES, sites(model)),
    };
    let none = match model.pane {
        Pane::Traffic => "nothing has been counted yet",
        Pane::Strangers => "no drop has been sampled yet",
        Pane::Peers => "no peer has authenticated yet",
        Pane::Sites => "no site has been pulled from yet",
    };
    Table { columns, rows, none: none.to_owned() }
}

/// Packets, then handshakes, then requests.
fn traffic(model: &Model) -> Vec<Row> {
    let mut found: Vec<(u8, String, String, Tone, &Counter)> = model
        .rates
        .iter()
        .filter_map(|(key, counter)| {
            let (group, what, why, tone) = told(key)?;
            Some((group, what, why, tone, counter))
        })
        .collect();
    let order = model.order();
    found.sort_by(|(group, what, why, _, counter), (other, what2, why2, _, counter2)| {
        let by_order = match order {
            "rate" => falling(counter.rate(), counter2.rate()),
            "total" => counter2.count().cmp(&counter.count()),
            _ => Ordering::Equal,
        };
        group.cmp(other).then(by_order).then_with(|| (what, why).cmp(&(what2, why2)))
    });
    let row = |(_, what, why, tone, counter): (u8, String, String, Tone, &Counter)| {
        let (rate, total) = (rates::shown(counter.rate()), counter.count().to_string());
        Row { cells: vec![what, why, rate, total, counter.sparkline(usize::MAX)], tone }
    };
    found.into_iter().map(row).collect()
}

fn told(key: &Key) -> Option<(u8, String, String, Tone)> {
    let of_site = |site: &str, reason: &str| format!("{reason}, {site}");
    Some(match key {
        Key::Packets { action, reason } => {
            let tone = if action == "pass" { Tone::Good } else { Tone::Bad };
            (0, format!("packets {}", action.replace('_', " ")), reason.clone(), tone)
        }
        Key::Accepted => (1, "pulls accepted".into(), String::new(), Tone::Good),
        Key::Refused { site, reason } => {
            (1, "pulls refused".into(), of_site(site, reason), Tone::Bad)
        }
        Key::Relayed => (2, "requests relayed".into(), String::new(), Tone::Good),
        Key::Denied { site, reason } => {
            (2, "requests refused".into(), of_site(site, reason), Tone::Bad)
        }
        Key::Pulls { .. } => return None,
    })
}

fn falling(rate: Option<f64>, other: Option<f64>) -> Ordering {
    other.unwrap_or(-1.0).total_cmp(&rate.unwrap_or(-1.0))
}

fn strangers(model: &Model, at: Duration) -> Vec<Row> {
    let by = if model.order() == "drops" { By::Drops } else { By::Last };
    let row = |stranger: super::strangers::Stranger| Row {
        cells: vec![
            stranger.address.to_string(),
            stranger.drops.to_string(),
            span(at.saturating_sub(stranger.last).as_secs()),
            stranger.port.map_or_else(|| "?".to_owned(), |port| port.to_string()),
            format!("{} {}", stranger.action.replace('_', " "), stranger.reason),
        ],
        tone: Tone::Plain,
    };
    model.strangers.sorted(by).into_iter().map(row).collect()
}

fn peers(model: &Model) -> Vec<Row> {
    let Some(status) = &model.status else { return Vec::new() };
    let mut peers: Vec<_> = status.peers.iter().collect();
    match model.order() {
        "handshakes" => peers.sort_by_key(|peer| Reverse(peer.handshakes)),
        "address" => peers.sort_by_key(|peer| peer.address),
        _ => peers.sort_by_key(|peer| Reverse(peer.last_seen)),
    }
    let row = |peer: &aop_api::PeerStatus| Row {
        cells: vec![
            peer.address.to_string(),
            peer.handshakes.to_string(),
            since(peer.last_seen),
            peer.site.clone().unwrap_or_else(|| "no longer configured".into()),
        ],
        tone: Tone::Plain,
    };
    peers.into_iter().map(row).collect()
}

/// The counters and remarks of one site.
#[derive(Default)]
struct Site {
    pulls: Option<f64>,
    refusing: Option<f64>,
    refused: u64,
    remarks: Vec<String>,
    bad: bool,
}

fn sites(model: &Model) -> Vec<Row> {
    let mut found: Vec<(String, Site)> = known_sites(model).into_iter().collect();
    let order = model.order();
    found.sort_by(|(name, site), (name2, site2)| {
        let by_order = match order {
            "refused" => falling(site.refusing, site2.refusing)
                .then_with(|| site2.refused.cmp(&site.refused)),
            "pulls" => falling(site.pulls, site2.pulls),
            _ => Ordering::Equal,
        };
        by_order.then_with(|| name.cmp(name2))
    });
    let row = |(name, site): (String, Site)| Row {
        cells: vec![
            if name == "-" { "no site".to_owned() } else { name },
            rates::shown(site.pulls),
            rates::shown(site.refusing),
            site.refused.to_string(),
            site.remarks.join("; "),
        ],
        tone: if site.bad { Tone::Bad } else { Tone::Plain },
    };
    found.into_iter().map(row).collect()
}

fn known_sites(model: &Model) -> BTreeMap<String, Site> {
    let mut sites: BTreeMap<String, Site> = BTreeMap::new();
    let add = |sum: &mut Option<f64>, rate: Option<f64>| {
        *sum = rate.map(|rate| sum.unwrap_or_default() + rate).or(*sum);
    };
    for (key, counter) in model.rates.iter() {
        match key {
            Key::Pulls { site, .. } => {
                add(&mut sites.entry(site.clone()).or_default().pulls, counter.rate());
            }
            Key::Refused { site, .. } | Key::Denied { site, .. } => {
                let site = sites.entry(site.clone()).or_default();
                add(&mut site.refusing, counter.rate());
                site.refused = site.refused.saturating_add(counter.count());
            }
            Key::Packets { .. } | Key::Accepted | Key::Relayed => {}
        }
    }
    model.status.iter().for_each(|status| remark(status, &mut sites));
    sites
}

fn remark(status: &Status, sites: &mut BTreeMap<String, Site>) {
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
    for end in &status.ends {
        let site = sites.entry(end.site.clone()).or_default();
        if !site.remarks.iter().any(|remark| remark.starts_with("expires ")) {
            let what = end.what.replace('_', " ");
            site.remarks.push(format!("expires {} ({what})", end.not_after.strftime("%Y-%m-%d")));
        }
    }
}
