//! A full disk under `paths.state`: a mode that cannot be stored is not changed, an opening is made
//! with a warning, and what was stored before stays whole.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aop_tests::{Family, Pull};

use crate::stage::{Stage, on_changed_stage};

const ROOM: u32 = 64 * 1024;

/// Takes what room is left.
fn fill(stage: &Stage) -> Result<PathBuf> {
    let path = stage.world.dir().join("disk/filler");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let written = (0..ROOM).try_for_each(|_| file.write_all(&[b'x'; 4096]));
    let full = written.err().context("it never fills")?;
    ensure!(full.kind() == std::io::ErrorKind::StorageFull, "{full}");
    Ok(path)
}

fn verb(stage: &Stage, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = stage.daemon.verb(&words)?;
    ensure!(done.code == 0, "aop {line}: {done:?}");
    Ok(String::from_utf8(done.output)?)
}

fn stranger(stage: &Stage, served: bool) -> Result<()> {
    let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
    ensure!(if served { outcome.served() } else { outcome.silent() }, "{outcome}");
    Ok(())
}

#[test]
fn a_mode_that_cannot_be_stored_is_not_changed_and_nothing_stored_is_lost() {
    on_changed_stage(
        |config, world| {
            config.mode = "observe";
            config.state = world.small_disk(ROOM).expect("a disk").join("state");
        },
        |stage| {
            let state = stage.config.state.clone();
            verb(stage, "mode enforce --force")?;
            stranger(stage, false)?;
            let kept = fs::read(state.join("modes.json"))?;
            let recorded = fs::read(state.join("audit.log"))?;
            let filler = fill(stage)?;

            for line in ["mode observe --port 443", "mode enforce --port 443 --force"] {
                let refused = stage.daemon.verb(&line.split_whitespace().collect::<Vec<_>>())?;
                ensure!(refused.code == 1, "aop {line}: {refused:?}");
                let error = &refused.errors;
                ensure!(error.contains("no mode is changed") && error.contains("modes.json"));
            }
            stranger(stage, false)?;
            let opened = verb(stage, "open --from 192.0.2.0/24 --for 1h")?;
            ensure!(opened.contains("not kept") || opened.contains("restart"), "{opened}");
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains("openings.json"), "{warnings}");
            // Not a byte of what was stored has changed; a log has the room of its last block.
            ensure!(fs::read(state.join("modes.json"))? == kept);
            let log = fs::read(state.join("audit.log"))?;
            ensure!(log.starts_with(&recorded) && log.ends_with(b"\n"), "half a line");
            stage.edge_is_served()?;

            // The next daemon starts with the mode that was stored.
            stage.daemon.run()?;
            stranger(stage, false)?;
            stage.edge_is_served()?;
            ensure!(stage.daemon.status()?.json()["openings"] == serde_json::json!([]));

            // With room again, modes and openings are stored, and nothing warns any more.
            fs::remove_file(filler)?;
            verb(stage, "mode enforce --force")?;
            verb(stage, "open --from 192.0.2.0/24 --for 1h")?;
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(!warnings.contains("No space left"), "{warnings}");
            Ok(())
        },
    );
}
