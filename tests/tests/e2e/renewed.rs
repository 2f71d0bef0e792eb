//! Files of sites that change on the disk are taken up without a signal, however they are replaced;
//! what cannot be used is told and leaves the old ones in force.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::hand::{self, Client};
use aop_tests::pki::Identity;
use aop_tests::{Config, Family, Pull, World, wait};
use serde_json::Value;

use crate::stage::{Stage, on_changed_stage, on_stage};

/// Some looks at the files, and a busy machine.
const SEEN: Duration = Duration::from_secs(15);

/// So many looks that what has changed would have been seen.
const UNSEEN: Duration = Duration::from_secs(5);

const TAKEN_UP: &str = "changed files of sites are in force";

/// Whether the site presents the certificate of `identity`.
fn presents(stage: &Stage, identity: &[u8]) -> Result<bool> {
    let to = stage.world.origin_at(Family::V4, 443);
    let client = Client::new(&stage.world.pki, &stage.world.pki.edge)?;
    let session = client.open(stage.world.edge(), to, "example.com")?;
    let chain = session.conn.peer_certificates().context("no certificate")?;
    let text = String::from_utf8_lossy(identity).replace('\n', "");
    let body = text.split("-----").nth(2).context("not PEM")?.to_owned();
    Ok(base64(chain.first().context("no leaf")?) == body)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn becomes_renewed(stage: &Stage) -> Result<()> {
    let renewed = fs::read(&stage.world.pki.renewed_server.certificate)?;
    wait::until("the new certificate is presented", SEEN, || {
        presents(stage, &renewed).is_ok_and(|it| it).then_some(())
    })
    .with_context(|| stage.daemon.log())
}

/// Waits until the status says this of the last reload.
fn last_reload(stage: &Stage, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until("the status tells it", SEEN, || {
        let told = stage.daemon.status().ok()?.json()["last_reload"].clone();
        fits(&told).then_some(told)
    })
    .with_context(|| stage.daemon.log())
}

fn replace(old: &Path, new: &Path) -> Result<()> {
    let aside = old.with_extension("new");
    fs::copy(new, &aside)?;
    Ok(fs::rename(aside, old)?)
}

/// Certificate and key below a link to a directory, as certbot and Kubernetes have them.
fn below_a_link(config: &mut Config, world: &World) {
    let at = |name: &str| world.dir().join(name);
    let lay = |dir: &str, pair: &Identity| -> Result<()> {
        fs::create_dir(at(dir))?;
        fs::copy(&pair.certificate, at(dir).join("tls.pem"))?;
        fs::copy(&pair.key, at(dir).join("tls.key"))?;
        Ok(())
    };
    lay("first", &world.pki.server).expect("a pair");
    lay("second", &world.pki.renewed_server).expect("a pair");
    symlink("first", at("live")).expect("a link");
    config.site().certificate = at("live/tls.pem");
    config.site().key = at("live/tls.key");
}

#[test]
fn certificate_and_key_that_are_renamed_over_are_taken_up_at_once_and_cut_nobody() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let pki = &stage.world.pki;
        ensure!(presents(stage, &fs::read(&pki.server.certificate)?)?);
        replace(&pki.server.certificate, &pki.renewed_server.certificate)?;
        replace(&pki.server.key, &pki.renewed_server.key)?;
        becomes_renewed(stage)?;
        let told = last_reload(stage, |told| told["by"] == "files")?;
        ensure!(told["outcome"] == "applied" && told["error"].is_null(), "{told}");
        let changed = told["changed"].as_array().context("no list")?;
        ensure!(changed.len() == 2 && told["files"] == 3, "{told}");
        hand::get(&mut session, "/after")?;
        std::thread::sleep(UNSEEN);
        let log = stage.daemon.log();
        ensure!(log.matches(TAKEN_UP).count() == 1, "{log}");
        let line = log.lines().find(|line| line.contains(TAKEN_UP)).context("no line")?;
        ensure!(line.contains("server.pem") && line.contains("server.key"), "{line}");
        stage.edge_is_served()
    });
}

#[test]
fn a_directory_that_is_switched_by_its_link_is_taken_up() {
    on_changed_stage(below_a_link, |stage| {
        stage.edge_is_served()?;
        let at = |name: &str| stage.world.dir().join(name);
        symlink("second", at("aside"))?;
        fs::rename(at("aside"), at("live"))?;
        becomes_renewed(stage)
    });
}

#[test]
fn a_pair_that_is_written_over_in_two_steps_is_in_force_after_the_second() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let pki = &stage.world.pki;
        fs::copy(&pki.renewed_server.certificate, &pki.server.certificate)?;
        let told = last_reload(stage, |told| told["outcome"] == "refused")?;
        let error = told["error"].as_str().unwrap_or_default();
        ensure!(error.contains("does not belong") && error.contains("server.key"), "{told}");
        stage.edge_is_served()?;
        fs::copy(&pki.renewed_server.key, &pki.server.key)?;
        becomes_renewed(stage)?;
        last_reload(stage, |told| told["outcome"] == "applied" && told["error"].is_null())?;
        Ok(())
    });
}

#[test]
fn a_broken_file_is_told_and_what_was_there_before_is_no_error_any_more() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let client_ca = &stage.world.pki.client_ca;
        let good = fs::read(client_ca)?;
        for bad in [Some(&good[..good.len() / 2]), Some(&[]), None] {
            match bad {
                Some(bytes) => fs::write(client_ca, bytes)?,
                None => fs::remove_file(client_ca)?,
            }
            let told = last_reload(stage, |told| told["outcome"] == "refused")?;
            ensure!(told["error"].as_str().unwrap_or("").contains("client-ca.pem"), "{told}");
            let screen = stage.daemon.verb(&["status"])?;
            let screen = String::from_utf8_lossy(&screen.output).into_owned();
            ensure!(screen.contains("by changed files: REFUSED"), "{screen}");
            let pull = Pull::by_edge(&stage.world, Family::V4);
            stage.refuses(&pull.certificate(&stage.world.pki.foreign), "unknown_ca")?;
            fs::write(client_ca, &good)?;
            last_reload(stage, |told| {
                told["outcome"] == "changed_back" && told["error"].is_null()
            })?;
        }
        ensure!(!stage.daemon.log().contains(TAKEN_UP), "{}", stage.daemon.log());
        stage.edge_is_served()
    });
}

#[test]
fn a_client_ca_that_is_replaced_drains_whom_the_old_one_let_in() {
    on_changed_stage(
        |config, _| config.drain = "2s",
        |stage| {
            let mut session = stage.open()?;
            let pki = &stage.world.pki;
            replace(&pki.client_ca, &pki.foreign_ca)?;
            last_reload(stage, |told| told["by"] == "files")?;
            let pull = Pull::by_edge(&stage.world, Family::V4);
            let outcome = pull.clone().certificate(&pki.foreign).send()?;
            ensure!(outcome.served(), "{outcome}");
            let outcome = pull.send()?;
            ensure!(outcome.refused(), "{outcome}");
            wait::until("the old connection ends", SEEN, || {
                hand::get(&mut session, "/").is_err().then_some(())
            })
        },
    );
}

#[test]
fn files_are_taken_up_under_the_configuration_in_force_and_not_a_half_edited_one() {
    on_stage(|stage| {
        stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;
        stage.daemon.write(&stage.config.text().replace("enforce", "observe"))?;
        below(stage)?;
        stage.daemon.write("[firewall\n")?;
        let pki = &stage.world.pki;
        replace(&pki.client_ca, &pki.foreign_ca)?;
        last_reload(stage, |told| told["changed"][0] == *pki.client_ca.to_string_lossy())?;
        ensure!(stage.daemon.status()?.json()["mode"] == "enforce");
        Ok(())
    });
}

fn below(stage: &Stage) -> Result<()> {
    let pki = &stage.world.pki;
    replace(&pki.server.certificate, &pki.renewed_server.certificate)?;
    replace(&pki.server.key, &pki.renewed_server.key)?;
    becomes_renewed(stage)
}

#[test]
fn with_watch_all_the_configuration_is_taken_up_too_and_a_bad_edit_holds_up_no_certificate() {
    on_changed_stage(
        |config, _| config.tables.push("[reload]\nwatch = \"all\""),
        |stage| {
            stage.silences(&Pull::by_stranger(&stage.world, Family::V4), "unknown_source")?;
            stage.config.mode = "observe";
            stage.daemon.write(&stage.config.text())?;
            let told = last_reload(stage, |told| told["by"] == "configuration")?;
            ensure!(told["outcome"] == "applied", "{told}");
            let outcome = Pull::by_stranger(&stage.world, Family::V4).send()?;
            ensure!(outcome.served(), "{outcome}");

            stage.daemon.write(&stage.config.text().replace("mode =", "mood ="))?;
            let bad = |told: &Value| told["error"].as_str().unwrap_or("").contains("mood");
            last_reload(stage, bad)?;
            below(stage)?;
            last_reload(stage, bad)?;
            stage.daemon.write(&stage.config.text())?;
            last_reload(stage, |told| told["error"].is_null())?;
            Ok(())
        },
    );
}

#[test]
fn with_watch_off_nothing_is_taken_up_until_it_is_told() {
    on_changed_stage(
        |config, _| config.tables.push("[reload]\nwatch = \"off\""),
        |stage| {
            let pki = &stage.world.pki;
            let old = fs::read(&pki.server.certificate)?;
            replace(&pki.server.certificate, &pki.renewed_server.certificate)?;
            replace(&pki.server.key, &pki.renewed_server.key)?;
            std::thread::sleep(UNSEEN);
            ensure!(
                presents(stage, &old)? && stage.daemon.status()?.json()["last_reload"].is_null()
            );
            ensure!(!stage.daemon.reload()?.contains("not reloaded"));
            ensure!(!presents(stage, &old)?);
            Ok(())
        },
    );
}
