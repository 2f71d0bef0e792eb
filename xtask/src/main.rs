//! `cargo xtask`: the project's own tasks.
//!
//! Builds the packet program, which needs its own compiler and linker, and runs everything that
//! needs it: the daemon, the demo, the tests, the checks. Each verb installs or builds what it
//! needs, except cargo-mutants. Depends on no crate of the product.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod booted;
mod ci;
mod command;
mod debian;
mod decoder;
mod dist;
mod edge;
mod fuzz;
mod kernels;
mod launch;
mod mutants;
mod netns;
mod object;
mod packages;
mod page;
mod privilege;
mod promtool;
mod test;
mod toolchain;
mod walk;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use test::Part;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "The project's own tasks. Each one installs or builds what it needs, except cargo-mutants.",
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage.",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or install the BPF toolchain and the tools of demo and tests.
    ///
    /// Uses a rustup nightly with rust-src, or a distribution's rustc that includes the BPF target;
    /// installs one of them if there is none. Builds bpf-linker into target/tools. Prints each
    /// command that it runs, and nothing if nothing is missing.
    Setup {
        /// Also install what `kernels` needs: QEMU, and the kernels themselves
        #[arg(long)]
        kernels: bool,
        /// Also install the products that `bench` compares with, as far as they are available
        #[arg(long)]
        bench: bool,
    },
    /// Build the packet program that the firewall crate embeds, and check its budgets.
    ///
    /// Prints its size, and the number of instructions that the verifier walks (needs root).
    BuildEbpf,
    /// Build everything and run aop with these arguments, through sudo if not root.
    Run {
        /// Arguments of aop
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build everything and run the demo in network namespaces, through sudo if not root.
    Demo {
        /// Arguments of aop-demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the tests, or one part of them.
    ///
    /// The last line is `N passed, N failed, N skipped`. Without privilege, the tests of the kernel
    /// and e2e parts are listed and counted as skipped; with CI=true that is a failure.
    Test {
        part: Option<Part>,
        /// Filters and options for the test binaries
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Measure the packet path, the terminator and a fleet. Needs root.
    ///
    /// firewall compares with an empty program, xdp-filter and nftables; terminator with nginx,
    /// HAProxy and hitch; fleet simulates 1,000 hosts that report to a real etcd. Each comparison
    /// is one run. Installs the alternatives if it can, and writes the figures to target/bench.
    Bench {
        /// firewall, terminator or fleet [default: all]
        name: Option<String>,
        /// For terminator: the products and layers to compare, and the number of rounds. For fleet:
        /// --hosts N, --members N of etcd, --seconds N of reporting
        #[arg(last = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run aop behind an edge made from pingora, the CDN's own proxy library. Needs root.
    ///
    /// Sends the same requests with and without edge and aop, lets visitors leave, and reloads,
    /// upgrades and changes everything under load. A line for each scenario; exit code 1 if
    /// anything was lost. Not part of `ci`: the edge takes minutes to build.
    Edge {
        /// Test an optimized aop
        #[arg(long)]
        release: bool,
        /// Parts [default: cases leaving load], the seconds of each load [default: 20], or a piece
        /// of the names of cases and loads
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run the tests of the pages, with Chromium as the browser. Needs root.
    ///
    /// Installs Debian's Chromium (300 MB) if it is missing. Leaves screenshots in target/page:
    /// light, dark, without colours, and at the widths of a phone, a tablet and a desktop.
    /// The figures of the page of a fleet are in figures.txt beside them; `AOP_PAGE_HOSTS=10000`
    /// makes a larger one.
    Page,
    /// Boot other kernels under QEMU: the kernel tests, and aop on network cards. Needs root.
    ///
    /// The kernels are Debian's 6.1 and 6.12 and the newest of its backports, from packages that
    /// are unpacked in target/kernels and never installed. Each machine has virtio, Intel and
    /// VMware cards. Prints the tests, the boot time and the verified instructions of each.
    Kernels {
        /// 6.1, 6.12 or newest [default: all, without the cards on the newest]
        series: Option<String>,
        /// Instead boot Debian for arm64, install the cross-built package there and run the kernel
        /// tests; takes half an hour
        #[arg(long, conflicts_with = "series")]
        arm64: bool,
        /// Pieces of the names of tests, such as virtio
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Fuzz the policy, the readers of prefixes, configuration and PROXY headers, and the HTTP
    /// engine beside other readers.
    ///
    /// `differential` runs generated frames through the policy on the host and the packet program
    /// in the kernel (needs root); the other targets use cargo-fuzz.
    Fuzz {
        /// policy, prefixes, config, proxy, http1_request, http1_response, hpack,
        /// http2_connection, http2_exchange, nginx or differential [default: all but the last]
        target: Option<String>,
        /// How long each cargo-fuzz target runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// The number of frames of the differential run
        #[arg(long, default_value_t = 3_000_000)]
        frames: u64,
        /// The seed of the differential run [default: another one each time]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Change a package's code in one place at a time, and expect one of its tests to fail.
    ///
    /// Uses cargo-mutants, which must be installed, and leaves its lists in target/mutants. Exit
    /// code 1 if the tests miss a change; `.cargo/mutants.toml` lists the changes that no test can
    /// notice. Takes minutes to hours; not part of `ci`.
    Mutants {
        /// The package
        #[arg(default_value = "aop-common")]
        package: String,
        /// Options of cargo-mutants, such as `--file policy.rs` or `--list`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Build the Debian package in target/release/dist; test it, and publish it in a repository.
    ///
    /// The bytes of the package depend on the sources and the compilers alone: paths are mapped to
    /// fixed names, and its time is that of the last commit, or SOURCE_DATE_EPOCH.
    Dist(dist::Dist),
    /// Type the commands of the documents, as they stand, on booted Debian 12 and 13. Needs root.
    ///
    /// Boots the package under systemd-nspawn, with an edge, a visitor, a monitor and a stranger
    /// around it. A line for each block; exit code 1 if one fails. Not part of `ci`: it takes
    /// minutes, and longer the first time, when it makes the systems from a mirror.
    Walk(walk::Walk),
    /// Run all checks that a change must pass: format, lints, docs, dependencies, tests, and the
    /// kernel tests under other kernels.
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
            packages::ensure_for(&packages::OTHER_SOFTWARE)?;
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
        Verb::Edge { release, arguments } => {
            let profile = if release { launch::Profile::Release } else { launch::Profile::Debug };
            edge::run(profile, &arguments)
        }
        Verb::Page => page::run(),
        Verb::Kernels { arm64: true, filter, .. } => kernels::run_arm64(&filter),
        Verb::Kernels { series, filter, .. } => kernels::run(series.as_deref(), &filter),
        Verb::Fuzz { target, seconds, frames, seed } => {
            fuzz::run(target.as_deref(), seconds, fuzz::Frames { count: frames, seed })
        }
        Verb::Mutants { package, arguments } => mutants::run(&package, &arguments),
        Verb::Dist(dist) => dist::run(&dist),
        Verb::Walk(walk) => walk::run(&walk),
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
    fn arguments_of_aop_pass_through_with_and_without_a_double_dash() {
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
