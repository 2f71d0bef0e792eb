//! A full disk under `paths.state`: a mode that cannot be stored is not changed, an opening is made
//! with a warning, and the files that exist stay complete.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, Pull};

use crate::stage::{Stage, on_changed_stage};

const ROOM: u32 = 64 * 1024;

/// Fills the disk.
fn fill(stage: &Stage) -> Result<PathBuf> {
    let path = stage.lab.dir().join("disk/filler");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let written = (0..ROOM).try_for_each(|_| file.write_all(&[b'x'; 4096]));
    let full = written.err().context("it never fills")?;
    ensure!(full.kind() == std::io::ErrorKind::StorageFull, "{full}");
    Ok(path)
}

fn stranger(stage: &Stage) -> Pull {
    Pull::by_stranger(&stage.lab, IpVersion::V4)
}

#[test]
fn a_mode_that_cannot_be_stored_is_not_changed_and_stored_files_stay_complete() {
    on_changed_stage(
        |config, lab| {
            config.mode = "observe";
            config.state = lab.small_disk(ROOM).expect("a disk").join("state");
        },
        |stage| {
            let state = stage.config.state.clone();
            stage.daemon.must_run("mode enforce --force")?;
            stranger(stage).must_meet_silence()?;
            let kept = fs::read(state.join("modes.json"))?;
            let recorded = fs::read(state.join("audit.log"))?;
            let filler = fill(stage)?;

            for line in ["mode observe --port 443", "mode enforce --port 443 --force"] {
                let refused = stage.daemon.verb(&line.split_whitespace().collect::<Vec<_>>())?;
                ensure!(refused.code == 1, "aop {line}: {refused:?}");
                let error = &refused.errors;
                ensure!(error.contains("no mode is changed") && error.contains("modes.json"));
            }
            stranger(stage).must_meet_silence()?;
            let opened = stage.daemon.must_run("open --from 192.0.2.0/24 --for 1h")?;
            ensure!(opened.contains("not kept") || opened.contains("restart"), "{opened}");
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(warnings.contains("openings.json"), "{warnings}");
            // The stored modes have not changed. The log may use the rest of its last block.
            ensure!(fs::read(state.join("modes.json"))? == kept);
            let log = fs::read(state.join("audit.log"))?;
            ensure!(log.starts_with(&recorded) && log.ends_with(b"\n"), "half a line");
            stage.edge_is_served()?;

            // The next daemon begins with the mode that was stored.
            stage.daemon.run()?;
            stranger(stage).must_meet_silence()?;
            stage.edge_is_served()?;
            ensure!(stage.daemon.status()?.json()["openings"] == serde_json::json!([]));

            // With free space modes and openings are stored, and there is no warning any more.
            fs::remove_file(filler)?;
            stage.daemon.must_run("mode enforce --force")?;
            stage.daemon.must_run("open --from 192.0.2.0/24 --for 1h")?;
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(!warnings.contains("No space left"), "{warnings}");
            Ok(())
        },
    );
}
