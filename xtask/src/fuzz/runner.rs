//! cargo-fuzz: built where it is missing, and run without sanitizers.
//!
//! All code it reaches is safe Rust, where an address sanitizer finds nothing and would demand a
//! nightly compiler. The branches that libFuzzer follows need unstable flags alone, so the
//! project's own stable compiler is told to take them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command, workspace};

const VERSION: &str = "0.13.2";

pub(super) fn run(targets: &[&str], seconds: u32) -> Result<()> {
    let program = ready()?;
    for target in targets {
        eprintln!("== {target}, {seconds} s");
        let mut fuzz = Command::new(&program);
        command::forget_own_build(&mut fuzz);
        fuzz.current_dir(workspace::root()).env("RUSTC_BOOTSTRAP", "1");
        fuzz.env("CARGO_TARGET_DIR", workspace::target().join("fuzz"));
        fuzz.args(["run", "--sanitizer", "none", target]);
        // New inputs go into the first of these; the second is where they start from.
        let corpus = workspace::root().join("fuzz/corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        fuzz.args([format!("fuzz/corpus/{target}"), format!("fuzz/regressions/{target}")]);
        fuzz.args([
            "--",
            &format!("-max_total_time={seconds}"),
            "-max_len=4096",
            "-print_final_stats=1",
        ]);
        command::run(&mut fuzz).with_context(|| {
            format!(
                "a crash of {target} lies in fuzz/artifacts/{target}; CONTRIBUTING says what next"
            )
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
        // Into a temporary directory, which cargo removes.
        install.env_remove("CARGO_TARGET_DIR");
        command::run_shown(&mut install).context("cannot build cargo-fuzz")?;
    }
    Ok(program)
}
