//! Draws `aop top` on a terminal of any size.

use std::time::Duration;

use aop_api::{Status, duration_text};
use aop_types::escape_ascii;
use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    model::{DropSampling, Model, Pane},
    table::{self, Column, PaneTable, Row, Width},
    text::clip,
};
use crate::output::{Colours, StateText, Tone, confirmed, headline_mode, interface_state};

/// The smallest terminal, in columns and rows. On a smaller one only a message is drawn.
const MIN_SIZE: (u16, u16) = (60, 16);

/// Columns that a reason and its site get before the bars get any.
const MIN_TEXT: usize = 30;

const KEYS: &str = "q quit  Tab 1-4 pane  p pause  j k scroll  s sort  +/- interval  ? help";

const HELP: [&str; 13] = [
    "q, Esc, Ctrl-C     quit",
    "Tab, 1 to 4        another pane: traffic, strangers, peers, sites",
    "p, space           pause the readings; drops are still counted",
    "j k, arrows, PgUp, PgDn, Home",
    "                   scroll",
    "s                  change the order; the line of the panes shows it",
    "+ -                longer interval, shorter interval",
    "?                  this help",
    "",
    "Rates compare the last two readings. Strangers are the sources of sampled drops, and those",
    "on record (`aop strangers`); the traffic pane counts every drop. Pulls are TLS handshakes",
    "that authenticated. `aop peers` has every peer; `aop status --json` is for programs.",
    "",
];

/// Draws `model`; `at` is the time on its clock.
pub(super) fn all(frame: &mut Frame<'_>, model: &mut Model, at: Duration, colours: Colours) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if area.width < MIN_SIZE.0 || area.height < MIN_SIZE.1 {
        let (wide, high) = MIN_SIZE;
        let text = format!("{width}x{height} is too small: aop top needs {wide}x{high}. q quits");
        let lines = folded(&text, width).into_iter().take(height).map(Line::from);
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
        return;
    }
    let mut lines = header(model, width, height, colours);
    lines.push(tabs(model, width));
    let room = height.saturating_sub(lines.len() + 1);
    lines.extend(if model.shows_help {
        HELP.iter().take(room).map(|line| Line::from(clip(line, width))).collect()
    } else {
        body(model, at, width, room, colours)
    });
    lines.truncate(height - 1);
    frame.render_widget(Paragraph::new(lines), area);
    let bottom = Rect { y: area.y + area.height - 1, height: 1, ..area };
    let keys = Line::styled(clip(KEYS, width), Style::new().add_modifier(Modifier::DIM));
    frame.render_widget(Paragraph::new(keys), bottom);
}

/// `text` in lines of `width` characters.
fn folded(text: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(width.max(1)).map(|line| line.iter().collect()).collect()
}

/// Warnings first, then mode, interfaces and list.
fn header(model: &Model, width: usize, height: usize, colours: Colours) -> Vec<Line<'static>> {
    let bad = |text: &str| Line::styled(clip(text, width), style(Tone::Bad, colours));
    let mut lines = Vec::new();
    if let Some(error) = &model.error {
        lines.push(bad(&format!("! this screen is out of date: {error}")));
    }
    let Some(status) = &model.status else {
        lines.push(Line::from("asking aop…"));
        return lines;
    };
    let warnings = warnings(status);
    let shown = (height / 8).min(warnings.len());
    lines.extend(warnings.iter().take(shown).map(|warning| bad(&format!("! {warning}"))));
    if warnings.len() > shown {
        lines.push(bad(&format!("! and {} more: `aop status`", warnings.len() - shown)));
    }
    let mut first = headline(status, colours);
    let every = model.interval.as_secs_f32();
    let pause = if model.paused { ", PAUSED" } else { "" };
    first.push(Span::raw(format!(", every {every} s{pause}")));
    lines.push(Line::from(first));
    lines.push(Line::from(clip(&interfaces(status), width)));
    lines.push(Line::from(clip(&list_line(status), width)));
    lines
}

fn warnings(status: &Status) -> Vec<String> {
    let openings = status.openings.iter().map(|opening| opening.line());
    let pending = status.modes.pending.iter().map(|pending| pending.line());
    openings.chain(pending).chain(status.warnings.iter().cloned()).collect()
}

fn headline(status: &Status, colours: Colours) -> Vec<Span<'static>> {
    let (text, tone) = headline_mode(status);
    let (word, rest) = text
        .split_once(' ')
        .map_or((&*text, String::new()), |(word, rest)| (word, format!(" {rest}")));
    let mode = Span::styled(word.to_uppercase() + &rest, style(tone, colours));
    let daemon = match &status.daemon {
        Some(daemon) => format!(
            ", up {}, process {}, {} open",
            duration_text(daemon.uptime_seconds),
            daemon.pid,
            daemon.open_connections
        ),
        None => ", NO DAEMON".to_owned(),
    };
    let name = Span::raw(format!("aop {}: ", escape_ascii(&status.version)));
    vec![name, mode, Span::raw(daemon)]
}

fn interfaces(status: &Status) -> String {
    let states = status.interfaces.iter().map(|interface| {
        let StateText { text, .. } = interface_state(status, interface);
        let why = match interface.attach {
            Some(_) => String::new(),
            None => format!(" ({})", interface.state),
        };
        format!("{} {text}{why}", interface.name)
    });
    let states: Vec<String> = states.collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    format!("interfaces: {states}")
}

fn list_line(status: &Status) -> String {
    let list = &status.prefixes;
    let error =
        list.last_error.as_ref().map_or(String::new(), |error| format!(", NOT REFRESHED: {error}"));
    let age = confirmed(list);
    format!("list: {} IPv4 and {} IPv6 prefixes{age}{error}", list.v4, list.v6)
}

fn tabs(model: &Model, width: usize) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, pane) in (1..).zip(Pane::ALL) {
        let shown = Style::new().add_modifier(Modifier::REVERSED);
        let style = if pane == model.pane { shown } else { Style::new() };
        spans.push(Span::styled(format!(" {number} {} ", pane.title()), style));
    }
    let more = match (model.pane, &model.sampling, &model.status) {
        (Pane::Strangers, DropSampling::On { every, .. }, _) if *every > 1 => {
            format!("1 of {every} drops, ")
        }
        (Pane::Peers, _, Some(status)) => format!("{} in all, ", status.peers_total),
        _ => String::new(),
    };
    let used: usize = spans.iter().map(Span::width).sum();
    let text = format!("  {more}by {}", model.sort_order().name());
    spans.push(Span::raw(clip(&text, width.saturating_sub(used))));
    Line::from(spans)
}

fn body(
    model: &mut Model,
    at: Duration,
    width: usize,
    height: usize,
    colours: Colours,
) -> Vec<Line<'static>> {
    let PaneTable { columns, rows, none } = table::of(model, at);
    let mut lines = match note(model) {
        Some(note) => vec![Line::styled(clip(&note, width), style(Tone::Bad, colours))],
        None => Vec::new(),
    };
    if rows.is_empty() {
        lines.push(Line::from(clip(none, width)));
        return lines;
    }
    let widths = widths(columns, &rows, width);
    let heads: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
    let head = line(&heads, columns, &widths);
    lines.push(Line::styled(head, Style::new().add_modifier(Modifier::BOLD)));
    let window = model.window(rows.len(), height.saturating_sub(lines.len()));
    for Row { cells, tone } in rows.get(window).unwrap_or_default() {
        lines.push(Line::styled(line(cells, columns, &widths), style(*tone, colours)));
    }
    lines
}

/// The note above the rows of a pane.
fn note(model: &Model) -> Option<String> {
    match (model.pane, &model.sampling) {
        (Pane::Strangers, DropSampling::Off(why)) => Some(why.clone()),
        (Pane::Strangers, DropSampling::On { lost, .. }) => {
            let counts = [
                (*lost, "drops came too fast to sample"),
                (model.strangers.without_source, "came from an unknown source"),
                (model.strangers.evicted, "sources are forgotten (too many)"),
            ];
            let parts = counts.iter().filter(|(count, _)| *count > 0);
            let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        (Pane::Traffic | Pane::Peers | Pane::Sites, _) => None,
    }
}

/// The width of each column. One blank separates two columns.
fn widths(columns: &[Column], rows: &[Row], width: usize) -> Vec<usize> {
    let between = columns.len().saturating_sub(1);
    let longest =
        |at: usize| rows.iter().filter_map(|row| row.cells.get(at)).map(String::len).max();
    let own = |(at, column): (usize, &Column)| match column.width {
        Width::Left(width) | Width::Right(width) => Some(width),
        Width::Fit => longest(at).map(|longest| longest.max(column.head.len())),
        Width::Rest | Width::Bars => None,
    };
    let own: Vec<Option<usize>> = columns.iter().enumerate().map(own).collect();
    let taken: usize = own.iter().flatten().sum();
    let left = width.saturating_sub(taken + between);
    let has_bars = columns.iter().any(|column| matches!(column.width, Width::Bars));
    let bars = if has_bars { (left / 2).min(left.saturating_sub(MIN_TEXT)) } else { 0 };
    let texts = columns.iter().filter(|column| matches!(column.width, Width::Rest)).count();
    let share = |column: &Column| match column.width {
        Width::Bars => bars,
        Width::Left(_) | Width::Right(_) | Width::Fit | Width::Rest => (left - bars) / texts.max(1),
    };
    columns.iter().zip(own).map(|(column, own)| own.unwrap_or_else(|| share(column))).collect()
}

fn line(cells: &[String], columns: &[Column], widths: &[usize]) -> String {
    let cell = |((cell, column), width): ((&String, &Column), &usize)| match column.width {
        Width::Right(_) => format!("{:>width$}", clip(cell, *width)),
        Width::Left(_) | Width::Fit | Width::Rest => format!("{:<width$}", clip(cell, *width)),
        Width::Bars => tail(cell, *width),
    };
    let cells: Vec<String> = cells.iter().zip(columns).zip(widths).map(cell).collect();
    cells.join(" ")
}

/// The last `width` characters of bars, or of a column's head.
fn tail(bars: &str, width: usize) -> String {
    let skipped = bars.chars().count().saturating_sub(width);
    bars.chars().skip(skipped).collect()
}

fn style(tone: Tone, colours: Colours) -> Style {
    match (tone, colours) {
        (Tone::Plain, _) | (Tone::Good, Colours::Off) => Style::new(),
        (Tone::Good, Colours::On) => Style::new().fg(Color::Green),
        (Tone::Bad, Colours::On) => Style::new().fg(Color::Red),
        (Tone::Bad, Colours::Off) => Style::new().add_modifier(Modifier::BOLD),
    }
}
