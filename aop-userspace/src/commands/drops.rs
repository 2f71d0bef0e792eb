//! `aop drops`: prints sampled drops from the pinned ring buffer. Needs no daemon.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use aop_config::Config;
use aop_firewall::{DropReader, DroppedPacket};
use clap::Args;
use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::{
    arguments::{ConfigFile, duration},
    output::{count, drop_line, lines, print, reader_is_gone},
    signals,
};

/// Sources that the closing sum counts. In a flood the others are one line of it.
const MAX_SOURCES: usize = 4096;
/// Sources that the closing sum shows.
const SHOWN: usize = 20;
/// How often the ring buffer is read. A wake-up for each event would slow down the packet path.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct DropsCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Show one in N drops of each reason; N is rounded up to a power of two
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: u32,
    /// Stop after this time, such as 10s or 5m; without it, stop at Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    r#for: Option<Duration>,
    /// Print one JSON document for each drop
    #[arg(long)]
    json: bool,
}

impl DropsCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let mut drops = DropReader::follow(&paths.pins, self.every)?;
        let blocked = signals::block(&[Signal::SIGTERM, Signal::SIGINT])?;
        let (stop, stopped) = mpsc::channel();
        signals::on_arrival(blocked, move || {
            // Fails only if this verb is ending already.
            stop.send(()).ok();
        });
        let deadline = self.r#for.map(|time| Instant::now() + time);
        let (mut lost, mut sum) = (0, SourceSum::default());
        loop {
            self.print_new(&mut drops, &mut lost, &mut sum)?;
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if over
                || reader_is_gone()
                || stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout)
            {
                break;
            }
        }
        if !self.json {
            print(&sum.text(lost))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Prints the drops that are not printed yet. `lost` is the number of lost ones that standard
    /// error has already reported.
    fn print_new(
        &self,
        drops: &mut DropReader,
        lost: &mut u64,
        sum: &mut SourceSum,
    ) -> anyhow::Result<()> {
        while let Some(drop) = drops.next_drop() {
            sum.count(&drop);
            let line = if self.json { serde_json::to_string(&drop)? } else { drop_line(&drop) };
            print(&format!("{line}\n"))?;
        }
        let lost_now = drops.lost()?;
        if lost_now > *lost {
            let more = lost_now - *lost;
            eprintln!("{more} more drops came too fast to show; the counters include them");
            *lost = lost_now;
        }
        Ok(())
    }
}

/// The drops that were shown, by source.
#[derive(Default)]
struct SourceSum {
    sources: HashMap<IpAddr, SourceDrops>,
    /// Drops of further sources, or without a readable one.
    others: u64,
    shown: u64,
}

struct SourceDrops {
    drops: u64,
    first: Timestamp,
    last: Timestamp,
    port: Option<u16>,
    reason: &'static str,
}

impl SourceSum {
    fn count(&mut self, drop: &DroppedPacket) {
        self.shown += 1;
        let (first, last, port, reason) = (drop.at, drop.at, drop.port, drop.reason);
        let room = self.sources.len() < MAX_SOURCES;
        match drop.source {
            Some(source) if room || self.sources.contains_key(&source) => {
                let new = SourceDrops { drops: 0, first, last, port, reason };
                let known = self.sources.entry(source).or_insert(new);
                *known = SourceDrops { drops: known.drops + 1, last, port, reason, ..*known };
            }
            Some(_) | None => self.others += 1,
        }
    }

    /// The sum as lines. `lost` drops came too fast to show.
    fn text(&self, lost: u64) -> String {
        if self.shown == 0 && lost == 0 {
            return "no drop came while this looked\n".to_owned();
        }
        let shown = self.shown;
        let head = format!("{shown} drops shown, from {}", count(self.sources.len(), "source"));
        let mut rows: Vec<(&IpAddr, &SourceDrops)> = self.sources.iter().collect();
        rows.sort_by_key(|(source, it)| (Reverse(it.drops), **source));
        let row = |(source, it): &(&IpAddr, &SourceDrops)| {
            let SourceDrops { drops, first, last, port, reason } = it;
            let port = port.map_or_else(|| "?".to_owned(), |port| port.to_string());
            let time = |at: &Timestamp| at.strftime("%H:%M:%SZ").to_string();
            let (first, last) = (time(first), time(last));
            format!("{drops:>8} {first} to {last} port {port:<5} {reason} {source}")
        };
        let more = rows.get(SHOWN..).unwrap_or_default();
        let more_drops = more.iter().map(|(_, it)| it.drops).sum::<u64>() + self.others;
        let tail = [
            (more_drops > 0).then(|| format!("{more_drops:>8} of other sources")),
            (lost > 0).then(|| format!("{lost:>8} more came too fast to show")),
        ];
        let rows = rows.iter().take(SHOWN).map(row);
        lines([head].into_iter().chain(rows).chain(tail.into_iter().flatten()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::dropped_packet;

    #[test]
    fn the_sum_has_the_busiest_sources_with_their_times_and_every_drop() {
        let mut sum = SourceSum::default();
        assert_eq!(sum.text(0), "no drop came while this looked\n");
        for n in 0..30u8 {
            for second in 0..=i64::from(n) {
                sum.count(&dropped_packet(Some([192, 0, 2, n].into()), second));
            }
        }
        sum.count(&dropped_packet(None, 7));
        let text = sum.text(5);
        let shown: Vec<&str> = text.lines().collect();
        assert_eq!(shown[0], "466 drops shown, from 30 sources");
        let first = "      30 00:00:00Z to 00:00:29Z port 443   unknown_source 192.0.2.29";
        assert_eq!((shown[1], shown.len()), (first, SHOWN + 3));
        // 1 + 2 + … + 10 drops of the sources that are not shown, and one without a source.
        assert_eq!(shown[SHOWN + 1], "      56 of other sources");
        assert_eq!(shown[SHOWN + 2], "       5 more came too fast to show");
    }

    #[test]
    fn a_flood_of_sources_takes_bounded_room() {
        let mut sum = SourceSum::default();
        for n in 0..10_000u32 {
            sum.count(&dropped_packet(Some(n.to_be_bytes().into()), 1));
        }
        assert_eq!((sum.sources.len(), sum.others), (MAX_SOURCES, 10_000 - MAX_SOURCES as u64));
    }
}
