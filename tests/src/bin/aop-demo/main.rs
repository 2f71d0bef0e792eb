//! Demonstrates aop: an edge, a stranger and an origin on one machine, with real packets and real
//! handshakes, and a table of the outcomes.
//!
//! It needs root for network namespaces and has no settings. It removes everything when it ends,
//! also after Ctrl-C. Exit codes: 0 all outcomes as expected, 1 not, 130 interrupted.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is for people")]

mod claim_table;
mod interrupt;
mod maps;
mod scenario;

use std::process::ExitCode;

use crate::interrupt::Interrupt;

const INTRO: &str = "\
With aop, an origin answers only the authenticated pulls of its CDN. This demo builds a network of
namespaces: an origin that aop guards, an edge with Cloudflare addresses and the certificate of the
operator, and a stranger with a stolen copy of that certificate.
Then edge and stranger pull https://example.com/ with curl.
";

fn main() -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("aop-demo makes network namespaces and so needs root; run `cargo xtask demo`.");
        return ExitCode::FAILURE;
    }
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&error),
    };
    println!("{INTRO}");
    // The lab is removed when this returns, also with an error.
    let outcome = scenario::run(&interrupt);
    match outcome {
        _ if interrupt.received() => {
            eprintln!("Interrupted. Everything is removed.");
            ExitCode::from(130)
        }
        Ok(report) => {
            println!("{} passed, {} failed", report.passed(), report.failed());
            if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("The demo failed: {error:#}");
    ExitCode::FAILURE
}
