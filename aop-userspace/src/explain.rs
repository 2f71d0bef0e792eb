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

use super::{ConfigFile, json, print};

#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// The source address of a packet, or a capture file (pcap, Ethernet)
    #[arg(value_name = "SOURCE|FILE.pcap")]
    what: String,
    /// The destination TCP port [default: the lowest guarded port]
    port: Option<u16>,
    /// The destination address [default: an address of the interface]
    #[arg(long, value_name = "DESTINATION")]
    to: Option<IpAddr>,
    /// The guarded interface on which the packet arrives [default: the first one]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

enum What {
    Source(IpAddr),
    Capture(PathBuf),
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let what = self.what()?;
        let pins = Config::paths(&self.file.config)?.pins;
        let mut live = DryRun::open(&pins, self.interface.as_deref())?;
        let text = match what {
            What::Source(source) => {
                let attempt = ConnectionAttempt { source, port: self.port, destination: self.to };
                let explanation = explain::source(&mut live, attempt)?;
                if self.json { json(&explanation)? } else { one(&explanation) }
            }
            What::Capture(path) => {
                let explanation = explain::capture(&mut live, &path)?;
                if self.json { json(&explanation)? } else { many(&explanation) }
            }
        };
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn what(&self) -> anyhow::Result<What> {
        if let Ok(source) = self.what.parse() {
            return Ok(What::Source(source));
        }
        let path = Path::new(&self.what);
        let neither = || format!("{:?} is neither an address nor a file", self.what);
        path.metadata().with_context(neither)?;
        if self.port.is_some() || self.to.is_some() {
            bail!("a capture holds its own ports and destinations: give neither PORT nor --to");
        }
        Ok(What::Capture(path.into()))
    }
}

fn one(explanation: &Explanation) -> String {
    let Explanation { action, reason, detail, source, destination, port, interface, .. } =
        explanation;
    let mut lines = vec![
        format!("{action} ({reason}): {source} to {destination} port {port} on {interface}"),
        detail.clone(),
    ];
    lines.extend(explanation.now.clone());
    lines.join("\n") + "\n"
}

fn many(explanation: &CaptureExplanation) -> String {
    let CaptureExplanation { file, interface, frames, too_short, ends_early, .. } = explanation;
    let mut lines = Vec::new();
    for verdict in &explanation.verdicts {
        let source = verdict.source.map_or("-".to_owned(), |source| source.to_string());
        let port = verdict.port.map_or("-".to_owned(), |port| port.to_string());
        lines.push(format!(
            "{:>8} frames {:<10} {:<15} {source:<39} port {port:<5}  {}",
            verdict.frames, verdict.action, verdict.reason, verdict.detail
        ));
    }
    lines.push(format!("{frames} frames of {file}, judged on {interface}"));
    if *too_short > 0 {
        lines.push(format!("{too_short} frames were not judged: shorter than an Ethernet header"));
    }
    if *ends_early {
        lines.push(format!("{file} ends within a frame: only the complete frames were judged"));
    }
    lines.join("\n") + "\n"
}
