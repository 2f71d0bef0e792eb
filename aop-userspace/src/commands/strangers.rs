//! `aop strangers`: the sources that no prefix admits, over days.

use std::{path::Path, process::ExitCode, time::Duration};

use aop_api::{StrangerStatus, StrangersReport, duration_text};
use clap::Args;
use jiff::Timestamp;

use crate::{
    arguments::{ConfigFile, Output, duration},
    daemon,
    output::{age, count, lines},
};

/// Sources that are shown without `--all`, in addition to those of which something is known.
const SHOWN: usize = 30;

#[derive(Args)]
pub(crate) struct StrangersCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Only sources that were seen within this time, such as 24h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    since: Option<Duration>,
    /// Show every source, not only the known ones and the 30 with the most packets
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
}

impl StrangersCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut report = daemon::strangers(&self.file.config)?;
        if let Some(time) = self.since {
            report = report.since(time, Timestamp::now());
        }
        let shown = if self.all { usize::MAX } else { SHOWN };
        self.output.print(&report, |report| render(report, &self.file.config, shown))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(report: &StrangersReport, file: &Path, most: usize) -> String {
    let StrangersReport { sources, extra, unlisted_packets, unrecorded_packets } = report;
    let mut text = Vec::new();
    if sources.is_empty() {
        text.push("no packet from a source that no prefix admits is on record".to_owned());
    } else {
        text.push(HEAD.to_owned());
    }
    let is_known = |it: &&StrangerStatus| it.known.is_some();
    let (known, others): (Vec<_>, Vec<_>) = sources.iter().partition(is_known);
    text.extend(known.into_iter().chain(others.iter().copied().take(most)).flat_map(rows));
    if let Some(more) = others.len().checked_sub(most).filter(|more| *more > 0) {
        let packets: u64 = others.iter().skip(most).map(|it| it.packets).sum();
        text.push(format!("{} more, with {packets} packets: --all", count(more, "source")));
    }
    if *unlisted_packets > 0 {
        text.push(format!("{unlisted_packets} packets of sources that are no longer listed"));
    }
    if *unrecorded_packets > 0 {
        text.push(format!(
            "{unrecorded_packets} packets without a source on record: too many at once, or it \
             could not be read"
        ));
    }
    if sources.iter().any(StrangerStatus::is_proposed) {
        text.push(String::new());
        text.push("Are the known ones yours? Then write this line into [firewall] of".to_owned());
        text.push(format!("{}, without those that are not, and `aop reload`:", file.display()));
        let quoted: Vec<String> = extra.iter().map(|cidr| format!("{cidr:?}")).collect();
        text.push(format!("    extra = [{}]", quoted.join(", ")));
    }
    lines(text)
}

const HEAD: &str = " packets   SYNs last ago first ago  port source";

/// One line, and one more where there is more to say.
fn rows(source: &StrangerStatus) -> Vec<String> {
    let StrangerStatus { packets, connections, last_seen, first_seen, port, .. } = source;
    let port = port.map_or_else(|| "?".to_owned(), |port| port.to_string());
    let (last, first) = (short(*last_seen), short(*first_seen));
    let line =
        format!("{packets:>8} {connections:>6} {last:>8} {first:>9} {port:>5} {}", source.source);
    let notes = notes(source);
    let notes = (!notes.is_empty()).then(|| format!("         {}", notes.join("; ")));
    [line].into_iter().chain(notes).collect()
}

/// A time in its largest unit.
fn short(moment: Timestamp) -> String {
    let text = age(moment);
    let largest: Vec<&str> = text.split(' ').take(2).collect();
    largest.join(" ")
}

fn notes(source: &StrangerStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if source.addresses > 1 {
        notes.push(format!("{} addresses", source.addresses));
    }
    if source.reason != "unknown_source" {
        notes.push(source.reason.clone());
    }
    if let Some(by) = &source.admitted_by {
        notes.push(format!("admitted by now: {by}"));
    }
    notes.extend(source.known.as_ref().map(|kind| kind.meaning().to_owned()));
    if let Some(every) = source.every_seconds {
        let interval = duration_text(every);
        notes.push(format!("a connection every {interval}"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use aop_api::{ActionName, StrangerKind};

    use super::*;

    fn stranger(source: &str, known: Option<StrangerKind>) -> StrangerStatus {
        StrangerStatus {
            source: source.to_owned(),
            port: Some(443),
            packets: 1_234_567,
            connections: 1234,
            addresses: 1,
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::now(),
            action: ActionName::WouldDrop,
            reason: "unknown_source".to_owned(),
            every_seconds: None,
            admitted_by: None,
            known,
        }
    }

    #[test]
    fn known_sources_come_first_and_the_line_to_copy_last_within_80_columns() {
        let mut sources: Vec<_> =
            (0..40).map(|n| stranger(&format!("192.0.2.{n}"), None)).collect();
        let monitor = "2001:db8:1111:2222:3333:4444:5555:6666";
        sources.push(StrangerStatus {
            every_seconds: Some(60),
            ..stranger(monitor, Some(StrangerKind::Regular))
        });
        let report = StrangersReport {
            sources,
            extra: vec!["203.0.113.0/24".into(), format!("{monitor}/128")],
            unlisted_packets: 5,
            unrecorded_packets: 6,
        };
        let text = render(&report, Path::new("/etc/aop/aop.toml"), SHOWN);
        let shown: Vec<&str> = text.lines().collect();
        assert!(shown[1].ends_with(monitor) && shown[2].contains("every 1 min 0 s"), "{text}");
        assert!(text.contains("10 sources more, with 12345670 packets: --all"), "{text}");
        let extra = format!("    extra = [\"203.0.113.0/24\", \"{monitor}/128\"]");
        assert_eq!(shown.last().copied(), Some(extra.as_str()));
        let widest = shown.iter().take(shown.len() - 1).map(|line| line.len()).max();
        assert!(widest.is_some_and(|widest| widest <= 80), "{widest:?} {text}");
        assert!(shown.iter().filter(|line| line.contains("192.0.2.")).all(|it| it.len() <= 80));
    }

    #[test]
    fn nothing_on_record_says_so() {
        let text = render(&StrangersReport::default(), Path::new("x"), SHOWN);
        assert_eq!(text, "no packet from a source that no prefix admits is on record\n");
    }
}
