//! Runs cargo-fuzz without sanitizers; builds it if it is missing.
//!
//! The fuzzed code is safe Rust, in which an address sanitizer finds nothing, and it would need a
//! nightly compiler. The coverage instrumentation needs only unstable flags, so RUSTC_BOOTSTRAP
//! makes the project's stable compiler accept them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command, workspace};

const VERSION: &str = "0.13.2";

/// Folders with good inputs, by target.
const SEEDS: [(&str, &str); 1] = [("nginx", "aop-userspace/crates/import/configurations")];

pub(super) fn run(targets: &[&str], seconds: u32) -> Result<()> {
    let program = ready()?;
    for target in targets {
        eprintln!("== {target}, {seconds} s");
        let mut fuzz = Command::new(&program);
        command::forget_own_build(&mut fuzz);
        fuzz.current_dir(workspace::root()).env("RUSTC_BOOTSTRAP", "1");
        fuzz.env("CARGO_TARGET_DIR", workspace::target().join("fuzz"));
        fuzz.args(["run", "--sanitizer", "none", target]);
        // libFuzzer writes new inputs into the first directory, and starts from all.
        let corpus = workspace::root().join("fuzz/corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        fuzz.arg(format!("fuzz/corpus/{target}"));
        let seeds = SEEDS.iter().filter(|(of, _)| of == target).map(|(_, folder)| (*folder).into());
        let folders = seeds.chain([format!("fuzz/regressions/{target}")]);
        // A target that has not crashed yet has no folder of regressions.
        fuzz.args(folders.filter(|folder| workspace::root().join(folder).is_dir()));
        fuzz.args([
            "--",
            &format!("-max_total_time={seconds}"),
            "-max_len=4096",
            "-print_final_stats=1",
        ]);
        command::run(&mut fuzz).with_context(|| {
            format!("{target} crashed: the input is in fuzz/artifacts/{target}; see CONTRIBUTING")
        })?;
    }
    Ok(())
}

fn ready() -> Result<PathBuf> {
    let folder = workspace::tool(&format!("cargo-fuzz-{VERSION}"));
    let program = folder.join("bin/cargo-fuzz");
    if !program.is_file() {
        let mut install = command::cargo("install");
        install.args(["cargo-fuzz", "--version", VERSION, "--locked", "--root"]).arg(folder);
        // Build in a temporary directory, which cargo removes.
        install.env_remove("CARGO_TARGET_DIR");
        command::run_shown(&mut install).context("cannot build cargo-fuzz")?;
    }
    Ok(program)
}
