//! `aop prove`

use std::{net::IpAddr, process::ExitCode};

use clap::Args;

use super::{ConfigFile, json, print};
use crate::{config::Config, control::Proof, firewall::Live, prove};

#[derive(Args)]
pub(super) struct Prove {
    #[command(flatten)]
    file: ConfigFile,
    /// The guarded interface that frames come in on; the first one where none is given
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Print JSON, with stable names
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let pins = Config::paths(&self.file.config)?.pins;
        let mut live = Live::open(&pins, self.interface.as_deref())?;
        let proof = prove::prove(&mut live)?;
        print(&if self.json { json(&proof)? } else { table(&proof) })?;
        Ok(if proof.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn table(proof: &Proof) -> String {
    let Proof { interface, generation, port, passed, failed, not_tried, .. } = proof;
    let mode = match proof.mode.as_str() {
        "observe" => "observing, so \"dropped\" is what enforcing would drop",
        _ => "enforcing",
    };
    let mut lines = vec![
        format!("{interface}, port {port}, generation {generation}: {mode}"),
        format!("strangers: {}; admitted: {}", named(&proof.strangers), named(&proof.admitted)),
        String::new(),
        format!("{:<20} {:>6} {:>8} {:>7} {:>6}", "shapes", "tried", "dropped", "passed", "wrong"),
    ];
    lines.extend(proof.groups.iter().map(|group| {
        format!(
            "{:<20} {:>6} {:>8} {:>7} {:>6}",
            group.name, group.tried, group.dropped, group.passed, group.wrong
        )
    }));
    lines.push(String::new());
    for failure in &proof.failures {
        lines.push(format!("wrong: {}: owes {}, got {}", failure.name, failure.owes, failure.got));
    }
    if *not_tried > 0 {
        lines.push(format!(
            "{not_tried} not tried: this host has no source or route for them, or they are too short"
        ));
    }
    lines.push(format!("{passed} passed, {failed} failed"));
    lines.join("\n") + "\n"
}

fn named(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "none".to_owned(),
        some => some.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and "),
    }
}
