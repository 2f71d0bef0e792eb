//! `aop prove`: prints the results of the packet table on the loaded firewall. Needs no daemon.

use std::{net::IpAddr, process::ExitCode};

use aop_api::{ModeName, ProofFailure, ProofShape, ProofUntried, ProveReport};
use aop_config::Config;
use aop_diagnose::prove;
use aop_firewall::DryRun;
use clap::Args;

use crate::{
    arguments::{ConfigFile, Output},
    output::lines,
};

/// The number of shapes of one reason that are named without `--shapes`.
const SHOWN: usize = 12;

#[derive(Args)]
pub(crate) struct ProveCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The guarded interface on which the frames arrive [default: the first one]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Show every shape that was run, and every one that does not apply here
    #[arg(long)]
    shapes: bool,
    #[command(flatten)]
    output: Output,
}

impl ProveCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let pins = Config::paths(&self.file.config)?.pins;
        let mut live = DryRun::open(&pins, self.interface.as_deref())?;
        let proof = prove::prove(&mut live)?;
        self.output.print(&proof, |proof| render(proof, self.shapes))?;
        Ok(if proof.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn render(proof: &ProveReport, all: bool) -> String {
    let ProveReport { interface, generation, port, passed, failed, .. } = proof;
    let mode = match &proof.mode {
        ModeName::Observe => "observing, so \"dropped\" is what enforce would drop",
        ModeName::Enforce | ModeName::Off | ModeName::Unknown(_) => "enforcing",
    };
    let mut text = vec![
        format!("{interface}, port {port}, generation {generation}: {mode}"),
        format!("strangers: {}; admitted: {}", named(&proof.strangers), named(&proof.admitted)),
        format!("draining peers: {}; beyond: {}", named(&proof.peers), named(&proof.beyond)),
        String::new(),
        format!("{:<20} {:>6} {:>8} {:>7} {:>6}", "shapes", "tried", "dropped", "passed", "wrong"),
    ];
    text.extend(proof.groups.iter().map(|group| {
        format!(
            "{:<20} {:>6} {:>8} {:>7} {:>6}",
            group.name, group.tried, group.dropped, group.passed, group.wrong
        )
    }));
    text.push(String::new());
    if all {
        text.extend(proof.shapes.iter().map(|shape| {
            let ProofShape { place, name, got, spent, .. } = shape;
            format!("{place:<25} {got:<22} {name}{}", budgets(*spent))
        }));
        text.push(String::new());
    }
    text.extend(untried("not applicable on this host", &proof.not_applicable, all));
    text.extend(untried("not runnable", &proof.not_runnable, all));
    for ProofFailure { place, name, owes, got, spent } in &proof.failures {
        let budgets = budgets(*spent);
        text.push(format!("wrong: {place} {name}{budgets}: expected {owes}, got {got}"));
    }
    text.push(format!("{passed} passed, {failed} failed"));
    lines(text)
}

fn budgets(spent: bool) -> &'static str {
    if spent { " (budgets spent)" } else { "" }
}

/// The shapes that were not tried, grouped by reason. Shapes are named; for a rule that is off,
/// only their number is shown.
fn untried(head: &str, shapes: &[ProofUntried], all: bool) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&ProofUntried>)> = Vec::new();
    for shape in shapes {
        match reasons.iter_mut().find(|(why, _)| *why == shape.why) {
            Some((_, shapes)) => shapes.push(shape),
            None => reasons.push((&shape.why, vec![shape])),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for (why, shapes) in &reasons {
        let rule = shapes.iter().find_map(|shape| shape.rule.as_deref());
        let shown = match rule {
            _ if all => shapes.len(),
            Some(_) => 0,
            None => SHOWN,
        };
        let rule = rule.map_or(String::new(), |rule| format!("`if {rule}`: "));
        lines.push(format!("{:>6} {rule}{why}", shapes.len()));
        lines.extend(shapes.iter().take(shown).map(|shape| format!("       - {}", shape.name)));
        if shown < shapes.len() && shown > 0 {
            lines.push(format!("       - and {} more: --shapes names them", shapes.len() - shown));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, format!("{head}: {}", shapes.len()));
        lines.push(String::new());
    }
    lines
}

fn named(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "none".to_owned(),
        some => some.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" and "),
    }
}
