//! aop behind an edge that is made from pingora, the proxy library that Cloudflare publishes.
//!
//! `cargo xtask edge` builds the edge (`tests/edge`), names it in `AOP_EDGE_BIN`, and runs this.
//! The parts are the cases (`cases`), load while aop or the application changes (`load`), and
//! visitors that leave (`leaving`). The exit code is 1 if anything was lost. Needs root.
//!
//! Arguments: the parts to run (default: all), the seconds of each load, and a piece of
//! the names of the cases and loads to run.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, reason = "a program of tests")]

mod application;
mod cases;
mod leaving;
mod load;
mod network;
mod report;
mod script;
mod visitor;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::application::Application;
use crate::network::Network;
use crate::report::Report;

/// The length of each load, unless an argument says otherwise.
const EACH: Duration = Duration::from_secs(20);

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Cases,
    Leaving,
    Load,
}

/// The choice that the arguments make.
struct Choice {
    parts: Vec<Part>,
    /// Only the cases and loads whose names contain this.
    filter: String,
    each: Duration,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything passed.
fn run() -> Result<bool> {
    let choice = Choice::of(std::env::args().skip(1));
    let mut network = Network::start()?;
    let application = Application::start(&network.lab, network::APPLICATION)?;
    let mut report = Report::new();
    println!("h1, h2: the protocol between the edge and aop");
    for part in choice.parts {
        match part {
            Part::Cases => {
                report.part("cases: ok as without proxies, ok (edge) as behind the edge alone");
                cases::run(&network, &application, &choice.filter, &mut report)?;
            }
            Part::Leaving => {
                report.part("visitors that leave");
                leaving::run(&network, &application, &mut report)?;
            }
            Part::Load => {
                let seconds = choice.each.as_secs();
                let columns = "requests, lost GET+POST, repeated by the edge, slowest";
                report.part(&format!("load, {seconds} s each: {columns}"));
                load::run(&mut network, choice.each, &choice.filter, &mut report)?;
            }
        }
    }
    Ok(report.end())
}

impl Choice {
    fn of(arguments: impl Iterator<Item = String>) -> Self {
        let mut chosen = Self { parts: Vec::new(), filter: String::new(), each: EACH };
        // cargo adds its own options.
        for argument in arguments.filter(|argument| !argument.starts_with('-')) {
            match argument.as_str() {
                "cases" => chosen.parts.push(Part::Cases),
                "leaving" => chosen.parts.push(Part::Leaving),
                "load" => chosen.parts.push(Part::Load),
                other => match other.parse() {
                    Ok(seconds) => chosen.each = Duration::from_secs(seconds),
                    Err(_) => chosen.filter = other.to_owned(),
                },
            }
        }
        if chosen.parts.is_empty() && !chosen.filter.is_empty() {
            chosen.parts.push(Part::Cases);
        } else if chosen.parts.is_empty() {
            chosen.parts = vec![Part::Cases, Part::Leaving, Part::Load];
        }
        chosen
    }
}
