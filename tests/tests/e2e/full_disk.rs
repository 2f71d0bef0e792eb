//! A full disk under `paths.state`: commands work, the output says that a restart forgets them, and
//! the files that exist stay complete.

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
fn commands_work_stored_files_stay_complete_and_warnings_say_so() {
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

            let said = stage.daemon.must_run("mode observe --port 443")?;
            ensure!(said.contains("A restart will lose"), "{said}");
            stranger(stage).must_be_served()?;
            let opened = stage.daemon.must_run("open --from 192.0.2.0/24 --for 1h")?;
            ensure!(opened.contains("not kept") || opened.contains("restart"), "{opened}");
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            for file in ["modes.json", "openings.json"] {
                ensure!(warnings.contains(file), "nothing of {file}: {warnings}");
            }
            // The stored modes have not changed. The log may use the rest of its last block.
            ensure!(fs::read(state.join("modes.json"))? == kept);
            let log = fs::read(state.join("audit.log"))?;
            ensure!(log.starts_with(&recorded) && log.ends_with(b"\n"), "half a line");
            stage.edge_is_served()?;

            // The next daemon begins with the last override that was stored: the stricter one.
            stage.daemon.run()?;
            stranger(stage).must_meet_silence()?;
            stage.edge_is_served()?;
            ensure!(stage.daemon.status()?.json()["openings"] == serde_json::json!([]));

            // With free space the next override is stored, and there is no warning any more.
            fs::remove_file(filler)?;
            stage.daemon.must_run("mode enforce --force")?;
            stage.daemon.must_run("open --from 192.0.2.0/24 --for 1h")?;
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(!warnings.contains("No space left"), "{warnings}");
            Ok(())
        },
    );
}

#[test]
fn a_stricter_override_that_cannot_be_stored_removes_the_weaker_one_from_the_disk() {
    on_changed_stage(
        |config, lab| {
            config.mode = "enforce";
            config.state = lab.small_disk(ROOM).expect("a disk").join("state");
        },
        |stage| {
            let kept = stage.config.state.join("modes.json");
            let bare = Pull::bare(&stage.lab, stage.lab.edge(), IpVersion::V4);
            stage.daemon.must_run("mode observe")?;
            stage.daemon.must_run("mode observe --site example.com")?;
            stranger(stage).must_be_served()?;
            let outcome = bare.clone().send()?;
            ensure!(outcome.served() && kept.exists(), "{outcome}");
            fill(stage)?;

            // The remaining override for packets would have to be written.
            let said = stage.daemon.must_run("mode enforce --site example.com --force")?;
            ensure!(said.contains("was removed") && !kept.exists(), "{said}");
            let warnings = stage.daemon.status()?.warnings()?.join("\n");
            ensure!(
                warnings.contains("after a restart only the configuration counts"),
                "{warnings}"
            );
            stranger(stage).must_be_served()?;
            stage.refuses(&bare, "certificate_required")?;

            stage.daemon.kill();
            stage.daemon.run()?;
            stage.refuses(&bare, "certificate_required")?;
            stranger(stage).must_meet_silence()?;
            stage.edge_is_served()
        },
    );
}
