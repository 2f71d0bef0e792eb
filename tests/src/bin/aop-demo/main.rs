//! The main job of aop, live: an edge, a stranger and an origin on one machine, real packets, real
//! handshakes, and a table of who got through.
//!
//! Needs root for network namespaces, and nothing to configure. Everything it makes is gone when
//! it ends, also by Ctrl-C. Exit codes: 0 all as expected, 1 not, 130 interrupted.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]

mod interrupt;
mod maps;
mod report;
mod scenario;

use std::process::ExitCode;

use crate::interrupt::Interrupt;

const INTRO: &str = "\
aop lets an origin answer its CDN's authenticated pulls, and nobody else. This demo builds a small
internet out of network namespaces: an origin that aop guards, an edge with Cloudflare addresses
and the operator's certificate, and a stranger who has stolen a copy of that certificate.
Then everybody pulls https://example.com/ with curl.
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
    // What the play has set up is taken down when it returns, however it does.
    let played = scenario::run(&interrupt);
    match played {
        _ if interrupt.came() => {
            eprintln!("Interrupted; everything is cleaned up.");
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
    eprintln!("The demo cannot go on: {error:#}");
    ExitCode::FAILURE
}
