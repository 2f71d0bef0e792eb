//! Who may ask what: the owner everything, the readers what is known already, nobody else anything.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Result, ensure};

use super::say;
use crate::stage::{Stage, in_a_world, on_changed_stage, on_stage, refuses_to_start};

/// The group of [`Daemon::verb_without_privilege`](aop_tests::Daemon::verb_without_privilege).
const NOGROUP: &str = "[control]\nreaders = \"nogroup\"";

fn open_the_way(stage: &mut Stage) -> Result<()> {
    stage.daemon.use_a_copy("aop")?;
    Ok(fs::set_permissions(stage.world.dir(), fs::Permissions::from_mode(0o755))?)
}

#[test]
fn without_readers_the_owner_alone_may_ask() {
    on_stage(|stage| {
        open_the_way(stage)?;
        let metadata = fs::metadata(stage.config.runtime.join("control.sock"))?;
        ensure!(metadata.mode() & 0o777 == 0o600, "mode {:o}", metadata.mode());
        ensure!(!stage.config.runtime.join("read.sock").exists());
        for verb in [&["status"][..], &["identities"], &["mode", "observe"], &["reload"]] {
            let told = stage.daemon.verb_without_privilege(verb)?;
            ensure!(told.code == 1 && told.errors.contains("no permission"), "{verb:?}: {told:?}");
            ensure!(told.errors.contains("ask as root"), "{}", told.errors);
        }
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn readers_read_and_steer_nothing() {
    on_changed_stage(
        |config, _| config.tables.push(NOGROUP),
        |stage| {
            open_the_way(stage)?;
            for verb in [&["status", "--json"][..], &["identities"], &["prefixes", "show"]] {
                let told = stage.daemon.verb_without_privilege(verb)?;
                ensure!(told.code == 0, "{verb:?}: {told:?}");
            }
            for verb in [&["mode", "observe"][..], &["reload"], &["confirm"], &["upgrade"]] {
                let told = stage.daemon.verb_without_privilege(verb)?;
                ensure!(told.code == 1 && told.errors.contains("no permission"), "{told:?}");
            }
            // Not the command line: the socket itself, and even for its owner.
            for verb in [
                r#"{"verb":"mode","to":"observe"}"#,
                r#"{"verb":"reload"}"#,
                r#"{"verb":"upgrade"}"#,
                r#"{"verb":"open","network":"192.0.2.0/24","seconds":60}"#,
                r#"{"verb":"refresh_prefixes","then":"compare"}"#,
            ] {
                let answer = say(stage, "read.sock", format!("{verb}\n").as_bytes())?;
                ensure!(answer.contains("accepts only requests that read"), "{verb}: {answer}");
            }
            ensure!(stage.daemon.status()?.enforcing("eth0")?);
            // The next daemon has it too, and at no time is there none.
            let new = stage.daemon.upgrade()?;
            let told = stage.daemon.verb_without_privilege(&["status", "--json"])?;
            let told: serde_json::Value = serde_json::from_slice(&told.output)?;
            ensure!(told["daemon"]["pid"] == new.0, "{told}");
            Ok(())
        },
    );
}

#[test]
fn readers_that_do_not_exist_are_named_and_nothing_is_opened() {
    in_a_world(|world| {
        let mut config = aop_tests::Config::new(world);
        config.tables.push("[control]\nreaders = \"no-such-group\"");
        let mut daemon = aop_tests::Daemon::prepare(world)?;
        daemon.write(&config.text())?;
        let check = daemon.verb(&["check"])?;
        ensure!(check.code == 1 && check.errors.contains("no-such-group"), "{check:?}");
        refuses_to_start(
            world,
            &mut daemon,
            &["control.readers", "no-such-group", "groupadd --system"],
        )
    });
}

/// A convenience must not keep the origin from being served.
#[test]
fn readers_whom_the_socket_cannot_be_given_are_told_and_aop_serves() {
    in_a_world(|world| {
        let mut config = aop_tests::Config::new(world);
        config.tables.push("[control]\nreaders = \"daemon\"");
        let mut daemon = aop_tests::Daemon::prepare(world)?;
        daemon.lack("chown");
        daemon.write(&config.text())?;
        let _upstream = aop_tests::Upstream::start(world)?;
        daemon.run()?;
        let log = daemon.log();
        ensure!(log.contains("control.readers") && log.contains("CAP_CHOWN"), "{log}");
        ensure!(!config.runtime.join("read.sock").exists());
        ensure!(!config.runtime.join("read.next").exists());
        let outcome = aop_tests::Pull::by_edge(world, aop_tests::Family::V4).send()?;
        ensure!(outcome.served(), "{outcome}");
        Ok(())
    });
}
