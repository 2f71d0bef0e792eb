//! `cargo xtask`: the project's chores.
//!
//! Builds what Cargo alone cannot (the packet program needs its own compiler and linker), and runs
//! what needs that program: the daemon, the demo, the tests, the checks. Each verb prepares for
//! itself whatever is missing. Depends on no crate of the product.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod ci;
mod command;
mod decoder;
mod dist;
mod fuzz;
mod kernels;
mod launch;
mod object;
mod packages;
mod privilege;
mod promtool;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use test::Part;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "The project's chores. Each prepares for itself whatever is missing.",
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or install the BPF toolchain and the tools that demo and tests drive.
    ///
    /// Uses a rustup nightly with rust-src, or a distribution's rustc that ships the BPF target;
    /// installs one of them where there is none. bpf-linker is built into target/tools. Prints
    /// each command it runs, and nothing when all is there.
    Setup {
        /// And what `kernels` needs: QEMU, and the kernels themselves
        #[arg(long)]
        kernels: bool,
        /// And what `bench` compares with, as far as it can be had
        #[arg(long)]
        bench: bool,
    },
    /// Build the packet program into aop-userspace/crates/firewall/bpf/aop.o, and hold it to its budgets.
    ///
    /// Prints its size, and the instructions the kernel's verifier walks (needs root).
    BuildEbpf,
    /// Build all and run aop with these arguments, through sudo when not root.
    Run {
        /// Arguments of aop
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build all and show the main job on network namespaces, through sudo when not root.
    Demo {
        /// Arguments of aop-demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the tests, or one part of them.
    ///
    /// The last line is `N passed, N failed, N skipped`. Without privilege the kernel and e2e
    /// parts are skipped, counted and named; with CI=true that is a failure.
    Test {
        part: Option<Part>,
        /// Filters and options for the test binaries
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Measure the packet path and the terminator beside what one would use instead. Needs root.
    ///
    /// firewall compares with an empty program, xdp-filter and nftables, terminator with nginx,
    /// HAProxy and hitch: each in one run. Installs them where it can, and leaves the figures in
    /// target/bench.
    Bench {
        /// firewall or terminator; both when not given
        name: Option<String>,
        /// For terminator: the products that take part, and the number of rounds
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Boot other kernels under QEMU and run the kernel tests there. Needs no privilege but apt's.
    ///
    /// Debian's 6.1 and 6.12, from packages that are unpacked under target/kernels and never
    /// installed; a release without one of them has it from Debian 12's lists. Prints for each how long it boots, the verified instructions and the tests.
    Kernels {
        /// 6.1 or 6.12; both when not given
        series: Option<String>,
    },
    /// Feed the policy, the prefix reader and the configuration with inputs made to break them.
    ///
    /// `differential` runs generated frames through the policy on the host and the packet program
    /// in the kernel (needs root); the other targets are cargo-fuzz's.
    Fuzz {
        /// policy, prefixes, config, proxy or differential; the first four when not given
        target: Option<String>,
        /// How long each cargo-fuzz target runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// How many frames the differential run takes
        #[arg(long, default_value_t = 3_000_000)]
        frames: u64,
        /// The differential run's seed; another one each time when not given
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Make the Debian package, in target/release/dist.
    Dist(dist::Dist),
    /// Everything that must hold before a change lands: format, lints, docs, dependencies, tests,
    /// and these under other kernels.
    Ci,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup { kernels, bench } => {
            toolchain::ready()?;
            packages::ensure()?;
            decoder::ensure();
            promtool::ensure();
            if kernels {
                kernels::setup()?;
            }
            if bench {
                packages::try_rivals(&packages::PACKET_RIVALS);
                packages::try_rivals(&packages::TLS_RIVALS);
            }
            Ok(())
        }
        Verb::BuildEbpf => object::build(),
        Verb::Run { arguments } => launch::run(&arguments),
        Verb::Demo { arguments } => launch::demo(&arguments),
        Verb::Test { part, filter } => test::run(part, &filter),
        Verb::Bench { name, arguments } => launch::bench(name.as_deref(), &arguments),
        Verb::Kernels { series } => kernels::run(series.as_deref()),
        Verb::Fuzz { target, seconds, frames, seed } => {
            fuzz::run(target.as_deref(), seconds, fuzz::Frames { count: frames, seed })
        }
        Verb::Dist(dist) => dist::run(dist),
        Verb::Ci => ci::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_of_aop_pass_through_with_and_without_dashes() {
        for line in
            [&["xtask", "run", "--", "status", "--json"][..], &["xtask", "run", "status", "--json"]]
        {
            let Ok(Arguments { verb: Verb::Run { arguments } }) = Arguments::try_parse_from(line)
            else {
                panic!("{line:?} is not understood");
            };
            assert_eq!(arguments, ["status", "--json"]);
        }
    }
}
