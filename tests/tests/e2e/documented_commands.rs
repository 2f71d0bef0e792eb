//! What the documents tell operators to type is typed: each `sh` block, in the order of its page, on a
//! host that is guarded. One that cannot be run says so above it, with the reason:
//! `<!-- not run: needs systemd -->`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull, child};

use crate::stage::{Stage, on_changed_stage};

/// A refresh of the list may wait for its source.
const PATIENCE: Duration = Duration::from_secs(60);
const MARK: &str = "<!-- not run";

/// A block of a page.
struct Block {
    line: usize,
    /// Why it is not run.
    excuse: Option<String>,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `sh` blocks of `page`.
fn blocks(page: &Path) -> Result<Vec<Block>> {
    let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let mut blocks = Vec::new();
    let (mut above, mut open): (&str, Option<(usize, Block)>) = ("", None);
    for (number, line) in text.lines().enumerate() {
        let (indent, bare) = (line.len() - line.trim_start().len(), line.trim());
        match open.take() {
            Some((_, block)) if bare == "```" => blocks.push(block),
            Some((indent, mut block)) => {
                block.text += &format!("{}\n", line.get(indent..).unwrap_or_default());
                open = Some((indent, block));
            }
            None if bare == "```sh" => {
                let excuse = above.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->"));
                let excuse = excuse.map(str::to_owned);
                let block = Block { line: number + 1, excuse, text: String::new() };
                open = Some((indent, block));
            }
            None => {}
        }
        above = bare;
    }
    ensure!(open.is_none(), "{}: a block without an end", page.display());
    Ok(blocks)
}

/// `aop` as the documents call it, for the daemon of the stage.
fn words(stage: &Stage) -> Result<PathBuf> {
    let dir = stage.lab.dir().join("words");
    fs::create_dir(&dir)?;
    let (program, config) = (stage.daemon.program(), stage.daemon.config_path());
    let script =
        format!("#!/bin/sh\nexec {:?} \"$@\" --config {:?}\n", program.display(), config.display());
    fs::write(dir.join("aop"), script)?;
    fs::set_permissions(dir.join("aop"), fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// Types what stands on `name`.
fn type_page(stage: &Stage, dir: &Path, name: &str) -> Result<()> {
    let mut run = 0;
    for Block { line, excuse, text } in blocks(&root().join(name))? {
        if let Some(excuse) = excuse {
            let reason = excuse.split_once(": ").map_or("", |(_, reason)| reason.trim());
            ensure!(!reason.is_empty(), "{name}:{line}: not run, and no reason");
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
    ensure!(run > 0, "{name}: nothing of it is run");
    Ok(())
}

/// On a host that observes both locks, whose edge pulls, and which is asked on the loopback.
fn typed(name: &str) {
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
            let dir = words(stage)?;
            fs::copy(&edge.certificate, dir.join("edge.pem"))?;
            fs::copy(&edge.key, dir.join("edge.key"))?;
            type_page(stage, &dir, name)
        },
    );
}

#[test]
fn first_install() {
    typed("docs/first-install.md");
}

#[test]
fn cut_over() {
    typed("docs/cut-over.md");
}

#[test]
fn certificates() {
    typed("docs/certificates.md");
}

#[test]
fn modes() {
    typed("docs/modes.md");
}

#[test]
fn running() {
    typed("docs/running.md");
}

#[test]
fn configuration() {
    typed("docs/configuration.md");
}

#[test]
fn doctor() {
    typed("docs/doctor.md");
}

#[test]
fn lock_out() {
    typed("docs/lock-out.md");
}

#[test]
fn pipeline() {
    typed("docs/ci.md");
}

/// Each page has a test above, or runs nothing.
#[test]
fn no_page_is_left_out() -> Result<()> {
    let here = include_str!("documented_commands.rs");
    let mut pages: Vec<PathBuf> = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs"))? {
        pages.push(entry?.path());
    }
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let name = page.strip_prefix(root())?.display().to_string();
        let run = blocks(page)?.iter().any(|block| block.excuse.is_none());
        let typed = here.contains(&format!("typed(\"{name}\")"));
        ensure!(run == typed, "{name}: {} and {}", run, typed);
    }
    Ok(())
}
