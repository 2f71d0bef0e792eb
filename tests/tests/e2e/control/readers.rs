//! Permissions on the control socket: the owner may do everything, readers may only read, others
//! nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Result, ensure};

use super::send_to;
use crate::stage::{Stage, in_lab, on_changed_stage, on_stage, refuses_to_start};

/// The group of [`verb_without_privilege`](aop_tests::TestDaemon::verb_without_privilege).
const NOGROUP: &str = "[control]\nreaders = \"nogroup\"";

fn make_binary_executable_for_all(stage: &mut Stage) -> Result<()> {
    stage.daemon.use_a_copy("aop")?;
    Ok(fs::set_permissions(stage.lab.dir(), fs::Permissions::from_mode(0o755))?)
}

#[test]
fn without_readers_only_the_owner_may_ask() {
    on_stage(|stage| {
        make_binary_executable_for_all(stage)?;
        let metadata = fs::metadata(stage.config.runtime.join("control.sock"))?;
        ensure!(metadata.mode() & 0o777 == 0o600, "mode {:o}", metadata.mode());
        ensure!(!stage.config.runtime.join("read.sock").exists());
        for verb in [&["status"][..], &["identities"], &["mode", "observe"], &["reload"]] {
            let told = stage.daemon.verb_without_privilege(verb)?;
            ensure!(told.code == 1 && told.errors.contains("no permission"), "{verb:?}: {told:?}");
            ensure!(told.errors.contains("`sudo`"), "{}", told.errors);
        }
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn another_user_changes_nothing_even_if_the_socket_is_open_to_all() {
    on_stage(|stage| {
        make_binary_executable_for_all(stage)?;
        let socket = stage.config.runtime.join("control.sock");
        for (path, mode) in [(&stage.config.runtime, 0o755), (&socket, 0o666)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        stage.daemon.verb_without_privilege(&["status", "--json"])?.success()?;
        let open = ["open", "--from", "192.0.2.0/24", "--for", "5m"];
        for verb in [&["mode", "observe"][..], &["reload"], &open] {
            let told = stage.daemon.verb_without_privilege(verb)?;
            ensure!(told.code == 1 && told.errors.contains("only root and the user"), "{told:?}");
        }
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn readers_may_read_and_change_nothing() {
    on_changed_stage(
        |config, _| config.tables.push(NOGROUP),
        |stage| {
            make_binary_executable_for_all(stage)?;
            for verb in
                [&["status", "--json"][..], &["identities"], &["strangers"], &["prefixes", "show"]]
            {
                stage.daemon.verb_without_privilege(verb)?.success()?;
            }
            for verb in [&["mode", "observe"][..], &["reload"], &["confirm"], &["upgrade"]] {
                let told = stage.daemon.verb_without_privilege(verb)?;
                ensure!(told.code == 1 && told.errors.contains("no permission"), "{told:?}");
            }
            // Not by the command line but by the socket itself, and even for its owner.
            for verb in [
                r#"{"verb":"mode","to":"observe"}"#,
                r#"{"verb":"reload"}"#,
                r#"{"verb":"upgrade"}"#,
                r#"{"verb":"open","network":"192.0.2.0/24","seconds":60}"#,
                r#"{"verb":"refresh_prefixes","then":"compare"}"#,
            ] {
                let answer = send_to(stage, "read.sock", format!("{verb}\n").as_bytes())?;
                ensure!(answer.contains("accepts only requests that read"), "{verb}: {answer}");
            }
            ensure!(stage.daemon.status()?.enforcing("eth0")?);
            // The successor has the socket too, and it always exists.
            let new = stage.daemon.upgrade()?;
            let told = stage.daemon.verb_without_privilege(&["status", "--json"])?;
            let told: serde_json::Value = told.json()?;
            ensure!(told["daemon"]["pid"] == new.0, "{told}");
            Ok(())
        },
    );
}

#[test]
fn a_group_of_readers_that_does_not_exist_is_named_and_no_socket_is_made() {
    in_lab(|lab| {
        let mut config = aop_tests::AopToml::new(lab);
        config.tables.push("[control]\nreaders = \"no-such-group\"");
        let mut daemon = aop_tests::TestDaemon::prepare(lab)?;
        daemon.write(&config.text())?;
        let check = daemon.verb(&["check"])?;
        ensure!(check.code == 1 && check.errors.contains("no-such-group"), "{check:?}");
        refuses_to_start(
            lab,
            &mut daemon,
            &["control.readers", "no-such-group", "groupadd --system"],
        )
    });
}

/// A socket for readers is a convenience. It must not prevent service.
#[test]
fn without_the_capability_to_make_the_socket_for_readers_aop_warns_and_serves() {
    in_lab(|lab| {
        let mut config = aop_tests::AopToml::new(lab);
        config.tables.push("[control]\nreaders = \"daemon\"");
        let mut daemon = aop_tests::TestDaemon::prepare(lab)?;
        daemon.drop_capability("chown");
        daemon.write(&config.text())?;
        let _upstream = aop_tests::TestUpstream::start(lab)?;
        daemon.run()?;
        let log = daemon.log();
        ensure!(log.contains("control.readers") && log.contains("CAP_CHOWN"), "{log}");
        ensure!(!config.runtime.join("read.sock").exists());
        ensure!(!config.runtime.join("read.next").exists());
        aop_tests::Pull::by_edge(lab, aop_tests::IpVersion::V4).must_be_served()?;
        Ok(())
    });
}
