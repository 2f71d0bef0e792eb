//! A disk without room under `paths.state`: what is said is done, told to be forgotten by a restart,
//! and what was kept before stays whole.

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
fn nothing_is_lost_or_weakened_and_all_of_it_is_told() {
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

            let said = verb(stage, "mode observe --port 443")?;
            ensure!(said.contains("A restart will lose"), "{said}");
            stranger(stage, true)?;
            let opened = verb(stage, "open --from 192.0.2.0/24 --for 1h")?;
            ensure!(opened.contains("not kept") || opened.contains("restart"), "{opened}");
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            for file in ["modes.json", "openings.json"] {
                ensure!(warnings.contains(file), "nothing of {file}: {warnings}");
            }
            // Not a byte of what was kept has changed; a log has the room of its last block.
            ensure!(fs::read(state.join("modes.json"))? == kept);
            let log = fs::read(state.join("audit.log"))?;
            ensure!(log.starts_with(&recorded) && log.ends_with(b"\n"), "half a line");
            stage.edge_is_served()?;

            // The next one begins with the last word that was kept: the stricter one.
            stage.daemon.run()?;
            stranger(stage, false)?;
            stage.edge_is_served()?;
            ensure!(stage.daemon.status()?.json()["openings"] == serde_json::json!([]));

            // With room again, the next word is kept, and nothing warns any more.
            fs::remove_file(filler)?;
            verb(stage, "mode enforce --force")?;
            verb(stage, "open --from 192.0.2.0/24 --for 1h")?;
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(!warnings.contains("No space left"), "{warnings}");
            Ok(())
        },
    );
}

#[test]
fn a_stricter_word_that_cannot_be_kept_takes_the_weaker_one_off_the_disk() {
    on_changed_stage(
        |config, world| {
            config.mode = "enforce";
            config.state = world.small_disk(ROOM).expect("a disk").join("state");
        },
        |stage| {
            let kept = stage.config.state.join("modes.json");
            let bare = Pull::bare(&stage.world, stage.world.edge(), Family::V4);
            verb(stage, "mode observe")?;
            verb(stage, "mode observe --site example.com")?;
            stranger(stage, true)?;
            let outcome = bare.clone().send()?;
            ensure!(outcome.served() && kept.exists(), "{outcome}");
            fill(stage)?;

            // What it leaves of packets would have to be written.
            let said = verb(stage, "mode enforce --site example.com --force")?;
            ensure!(said.contains("was removed") && !kept.exists(), "{said}");
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(
                warnings.contains("after a restart only the configuration counts"),
                "{warnings}"
            );
            stranger(stage, true)?;
            stage.refuses(&bare, "certificate_required")?;

            stage.daemon.kill();
            stage.daemon.run()?;
            stage.refuses(&bare, "certificate_required")?;
            stranger(stage, false)?;
            stage.edge_is_served()
        },
    );
}
