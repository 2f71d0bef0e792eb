//! `aop explain`: prints the verdict on an address or a capture. Needs no daemon.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use aop_api::{CaptureExplanation, Explanation};
use aop_config::Config;
use aop_diagnose::explain::{self, ConnectionAttempt};
use aop_firewall::DryRun;
use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    output::lines,
};

#[derive(Args)]
pub(crate) struct ExplainCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The source address of a packet, or a capture file (pcap, Ethernet)
    #[arg(value_name = "SOURCE|FILE.pcap")]
    subject: String,
    /// The destination TCP port [default: the lowest guarded port]
    port: Option<u16>,
    /// The destination address [default: an address of the interface]
    #[arg(long, value_name = "DESTINATION")]
    to: Option<IpAddr>,
    /// The guarded interface on which the packet arrives [default: the first one]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    #[command(flatten)]
    output: Output,
}

enum Subject {
    Source(IpAddr),
    Capture(PathBuf),
}

impl ExplainCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let subject = self.subject()?;
        let pins = Config::paths(&self.file.config)?.pins;
        let mut live = DryRun::open(&pins, self.interface.as_deref())?;
        match subject {
            Subject::Source(source) => {
                let attempt = ConnectionAttempt { source, port: self.port, destination: self.to };
                let explanation = explain::source(&mut live, attempt)?;
                self.output.print(&explanation, render_source)?;
            }
            Subject::Capture(path) => {
                let explanation = explain::capture(&mut live, &path)?;
                self.output.print(&explanation, render_capture)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn subject(&self) -> anyhow::Result<Subject> {
        if let Ok(source) = self.subject.parse() {
            return Ok(Subject::Source(source));
        }
        let path = Path::new(&self.subject);
        let neither = || format!("{:?} is neither an address nor a file", self.subject);
        path.metadata().with_context(neither)?;
        if self.port.is_some() || self.to.is_some() {
            bail!("a capture holds its own ports and destinations: give neither PORT nor --to");
        }
        Ok(Subject::Capture(path.into()))
    }
}

fn render_source(explanation: &Explanation) -> String {
    let Explanation { action, reason, detail, source, destination, port, interface, .. } =
        explanation;
    let head = vec![
        format!("{action} ({reason}): {source} to {destination} port {port} on {interface}"),
        detail.clone(),
    ];
    lines(head.into_iter().chain(explanation.now.clone()))
}

fn render_capture(explanation: &CaptureExplanation) -> String {
    let CaptureExplanation { file, interface, frames, too_short, ends_early, .. } = explanation;
    let mut text = Vec::new();
    for verdict in &explanation.verdicts {
        let source = verdict.source.map_or("-".to_owned(), |source| source.to_string());
        let port = verdict.port.map_or("-".to_owned(), |port| port.to_string());
        text.push(format!(
            "{:>8} frames {:<10} {:<15} {source:<39} port {port:<5}  {}",
            verdict.frames, verdict.action, verdict.reason, verdict.detail
        ));
    }
    text.push(format!("{frames} frames of {file}, judged on {interface}"));
    if *too_short > 0 {
        text.push(format!("{too_short} frames were not judged: shorter than an Ethernet header"));
    }
    if *ends_early {
        text.push(format!("{file} ends within a frame: only the complete frames were judged"));
    }
    lines(text)
}
