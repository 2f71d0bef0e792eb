//! `ci`: all checks that a change must pass, the fastest first.

mod dependencies;
mod graph;
mod names;
mod tidy;

use std::time::Instant;

use anyhow::{Context, Result};

use crate::{command, dist, kernels, test, toolchain};

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 10] = [
    ("fmt", format),
    ("tidy", tidy::check),
    ("crate graph", graph::check),
    ("units", dist::verify_units),
    ("clippy", lint),
    ("clippy for BPF", lint_ebpf),
    ("doc", document),
    ("deny", dependencies::check),
    ("test", || test::run(None, &[])),
    ("kernels", || kernels::run(None, &[])),
];

pub(crate) fn run() -> Result<()> {
    for (name, step) in STEPS {
        eprintln!("== {name}");
        let start = Instant::now();
        step().with_context(|| format!("step `{name}`"))?;
        eprintln!("== {name}: passed, {:.1} s", start.elapsed().as_secs_f32());
    }
    Ok(())
}

fn format() -> Result<()> {
    command::run(command::cargo("fmt").args(["--all", "--check"])).context("run `cargo fmt --all`")
}

fn lint() -> Result<()> {
    command::run(command::cargo("clippy").args(["--all-targets", "--", "--deny", "warnings"]))
}

/// The packet program is not part of the default build: it has its own compiler, and therefore its
/// own clippy.
fn lint_ebpf() -> Result<()> {
    let toolchain = toolchain::ready()?;
    match toolchain.clippy() {
        Some(mut clippy) => command::run(clippy.args(["--", "--deny", "warnings"])),
        None => {
            eprintln!("no clippy for BPF (Debian package rust-web-clippy): running `cargo check`");
            command::run(&mut toolchain.cargo("check"))
        }
    }
}

fn document() -> Result<()> {
    let mut document = command::cargo("doc");
    document.args(["--no-deps", "--document-private-items"]);
    command::run(document.env("RUSTDOCFLAGS", "--deny warnings"))
}
