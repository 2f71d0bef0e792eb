//! The commands in the documents work: each `sh` block runs, in the order of its page, on a guarded
//! host. A block that cannot run has a comment above it with the reason:
//! `<!-- not run: needs systemd -->`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::page::{self, CodeBlock};
use aop_tests::{IpVersion, Pull, child};

use crate::stage::{Stage, on_changed_stage};

/// A refresh of the prefix list may wait for its source.
const PATIENCE: Duration = Duration::from_secs(60);
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `sh` blocks of `page`.
fn commands(page: &Path) -> Result<Vec<CodeBlock>> {
    Ok(page::blocks(page)?.into_iter().filter(|block| block.language == "sh").collect())
}

/// Creates a folder with a script `aop` that uses the daemon of the stage.
fn folder_with_aop(stage: &Stage) -> Result<PathBuf> {
    let dir = stage.lab.dir().join("bin");
    fs::create_dir(&dir)?;
    let (program, config) = (stage.daemon.program(), stage.daemon.config_path());
    // `aop ca` reads no configuration.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = ca ] && exec {0:?} \"$@\"\nexec {0:?} \"$@\" --config {1:?}\n",
        program.display(),
        config.display()
    );
    fs::write(dir.join("aop"), script)?;
    fs::set_permissions(dir.join("aop"), fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// Runs the blocks of the page `name`.
fn run_page(stage: &Stage, dir: &Path, name: &str) -> Result<()> {
    let mut run = 0;
    for CodeBlock { line, excuse, text, .. } in commands(&root().join(name))? {
        if let Some(excuse) = excuse {
            let reason = excuse.split_once(": ").map_or("", |(_, reason)| reason.trim());
            ensure!(!reason.is_empty(), "{name}:{line}: not run, without a reason");
            continue;
        }
        let mut shell = stage.lab.origin().command("sh");
        let path = format!("{}:{}", dir.display(), std::env::var("PATH")?);
        shell.args(["-euc", &text]).env("PATH", path).current_dir(dir);
        let done = child::finish(shell, &[], PATIENCE)?;
        let said = String::from_utf8_lossy(&done.output);
        ensure!(done.code == 0, "{name}:{line}:\n{text}\n{said}\n{}", done.errors);
        run += 1;
    }
    ensure!(run > 0, "{name}: no block ran");
    Ok(())
}

/// Runs a page on a stage where both locks observe and the edge has pulled.
fn runs(name: &str) {
    on_changed_stage(
        |config, _| {
            config.mode = "observe";
            config.bind = ["0.0.0.0:443", "[::]:443", "0.0.0.0:8443"].map(String::from).into();
            config.site().rules.push("on_refusal = \"observe\"".into());
            config.tables.push("[monitor]\nlisten = \"127.0.0.1:9465\"");
        },
        |stage| {
            for family in IpVersion::BOTH {
                Pull::by_edge(&stage.lab, family).must_be_served()?;
            }
            let edge = &stage.lab.pki.edge;
            let dir = folder_with_aop(stage)?;
            fs::copy(&edge.certificate, dir.join("edge.pem"))?;
            fs::copy(&edge.key, dir.join("edge.key"))?;
            run_page(stage, &dir, name)
        },
    );
}

#[test]
fn the_commands_of_first_install_work() {
    runs("docs/first-install.md");
}

#[test]
fn the_commands_of_cut_over_work() {
    runs("docs/cut-over.md");
}

#[test]
fn the_commands_of_certificates_work() {
    runs("docs/certificates.md");
}

#[test]
fn the_commands_of_modes_work() {
    runs("docs/modes.md");
}

#[test]
fn the_commands_of_running_work() {
    runs("docs/running.md");
}

#[test]
fn the_commands_of_configuration_work() {
    runs("docs/configuration.md");
}

#[test]
fn the_commands_of_doctor_work() {
    runs("docs/doctor.md");
}

#[test]
fn the_commands_of_lock_out_work() {
    runs("docs/lock-out.md");
}

#[test]
fn the_commands_of_ci_work() {
    runs("docs/ci.md");
}

/// Each page has a test above, or no block that runs.
#[test]
fn each_page_with_commands_has_a_test() -> Result<()> {
    let here = include_str!("documented_commands.rs");
    let mut pages: Vec<PathBuf> = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs"))? {
        pages.push(entry?.path());
    }
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let name = page.strip_prefix(root())?.display().to_string();
        let run = commands(page)?.iter().any(|block| block.excuse.is_none());
        let has_test = here.contains(&format!("runs(\"{name}\")"));
        ensure!(run == has_test, "{name}: has commands {run}, has a test {has_test}");
    }
    Ok(())
}
