//! Orders to one host: obeyed through the control path once, and only if they count.

use std::path::{Path, PathBuf};
use std::thread::scope;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, EtcdCluster, Lab, child::CommandOutput, wait};
use serde_json::Value;

use super::{HOST, REPORTED, await_link, on_fleet};
use crate::stage::Stage;

/// The time for an order, with its confirmation.
const ORDERED: Duration = Duration::from_secs(90);

/// The private key of the operator.
pub(super) fn key_file(dir: &Path) -> PathBuf {
    dir.join("operator.key")
}

/// Makes the key of an operator.
pub(super) fn make_key(lab: &Lab, name: &str) -> Result<String> {
    let daemon = aop_tests::TestDaemon::prepare(lab)?;
    let out = lab.dir().join(name).display().to_string();
    let mut command = std::process::Command::new(daemon.program());
    command.args(["fleet", "key", "create", "--json", "--out", &out]);
    let made = aop_tests::child::finish(command, &[], ORDERED)?.success()?.json()?;
    ensure!(made["key_file"].as_str() == Some(&format!("{out}.key")), "{made}");
    Ok(made["operator"].as_str().context("no public key")?.to_owned())
}

/// The host observes, and obeys the operator.
pub(super) fn obeying(config: &mut AopToml, lab: &Lab, _: &EtcdCluster) -> Result<()> {
    let operator = make_key(lab, "operator")?;
    config.mode = "observe";
    config.fleet += &format!("operators = [{operator:?}]\n");
    Ok(())
}

/// `aop fleet LINE --key FILE --json` with the operator's key.
pub(super) fn order(stage: &Stage, line: &str) -> Result<CommandOutput> {
    let key = key_file(stage.lab.dir()).display().to_string();
    let words: Vec<&str> = line.split_whitespace().collect();
    let verb = [&["fleet"][..], &words, &["--json", "--key", &key]].concat();
    stage.daemon.verb_within(&verb, ORDERED)
}

pub(super) fn mode(stage: &Stage) -> Result<Value> {
    Ok(stage.daemon.status()?.json()["mode"].clone())
}

fn warnings(stage: &Stage) -> Result<String> {
    Ok(stage.daemon.status()?.json()["warnings"].to_string())
}

pub(super) fn await_warning(stage: &Stage, text: &str) -> Result<()> {
    wait::until(&format!("a warning says {text}"), REPORTED, || {
        warnings(stage).ok().filter(|warnings| warnings.contains(text))
    })
    .map(drop)
    .with_context(|| stage.daemon.log())
}

#[test]
fn an_order_is_confirmed_by_pulls_or_taken_back_and_is_in_the_audit_log() {
    on_fleet(1, obeying, |stage, _| {
        await_link(stage, "reporting")?;
        // The preflight of the host counts: nobody has pulled yet.
        let refused = order(stage, "enforce --all")?;
        ensure!(refused.code == 1 && mode(stage)? == "observe", "{}", refused.text());
        let why = refused.json()?["waves"][0]["stopped"][0]["why"].to_string();
        ensure!(why.contains("it refused: enforcing would or may"), "{why}");
        stage.edge_is_served()?;

        let back = order(stage, &format!("enforce --host {HOST} --confirm 10s"))?;
        ensure!(back.code == 1 && mode(stage)? == "observe", "{}", back.text());
        ensure!(back.text().contains("it went back"), "{}", back.text());

        let stage = &*stage;
        let lasting = scope(|scope| {
            let ordered = scope.spawn(|| order(stage, "enforce --all --confirm 60s --pulls 2"));
            while !ordered.is_finished() {
                stage.edge_is_served()?;
                std::thread::sleep(Duration::from_millis(500));
            }
            ordered.join().map_err(|_| anyhow::anyhow!("it panicked"))?
        })?;
        ensure!(lasting.code == 0, "{}\n{}", lasting.text(), stage.daemon.log());
        ensure!(mode(stage)? == "enforce", "{}", lasting.text());
        stage.silences_strangers()?;
        let serial = lasting.json()?["waves"][0]["order"]["serial"].to_string();
        let audit = std::fs::read_to_string(stage.lab.dir().join("state/audit.log"))?;
        let line = audit.lines().find(|line| line.contains(&format!("\"serial\":{serial}")));
        let line = line.with_context(|| format!("no order {serial}: {audit}"))?;
        ensure!(line.contains("\"outcome\":\"done\"") && line.contains("ed25519:"), "{line}");
        let orders = stage.daemon.verb(&["fleet", "orders", "--json"])?.success()?.json()?;
        let last = orders["orders"].as_array().and_then(|all| all.last()).context("no order")?;
        ensure!(last["genuine"] == true && last["hosts"][0]["state"] == "lasting", "{orders}");
        let page = stage.daemon.must_run("fleet orders")?;
        ensure!(page.contains(&format!("order {serial}")) && page.contains("1 lasting"), "{page}");
        let status = stage.daemon.must_run("status")?;
        ensure!(status.contains(&format!("order {serial}")), "{status}");
        Ok(())
    });
}

#[test]
fn a_replayed_altered_foreign_or_malformed_order_does_nothing_and_is_told() {
    on_fleet(1, obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        let observed = order(stage, "observe --all")?.success()?.json()?;
        let serial = observed["waves"][0]["order"]["serial"].as_u64().context("no serial")?;
        let genuine = etcd.value(&format!("/aop/orders/{serial:020}"))?;
        stage.daemon.must_run("mode enforce")?;
        let later = |by: u64| format!("/aop/orders/{:020}", serial + by);

        etcd.put(&later(1), &genuine)?;
        await_warning(stage, "is not above")?;
        etcd.put(&later(2), &genuine.replace(&serial.to_string(), &(serial + 9).to_string()))?;
        await_warning(stage, "its signature does not fit")?;
        let foreign = make_key(&stage.lab, "foreign")?;
        let (at, end) = (genuine.find("ed25519:").context("no key")?, "ed25519:".len() + 44);
        let own = genuine.get(at..at + end).context("no key")?;
        etcd.put(&later(3), &genuine.replace(own, &foreign))?;
        await_warning(stage, "is not in fleet.operators")?;
        etcd.put(&later(4), "no order")?;
        let coloured = genuine.replace(r#"[\"*\"]"#, r#"[\"\\u001b[31m\"]"#);
        ensure!(coloured != genuine, "{genuine}");
        etcd.put(&later(5), &coloured)?;
        let page = stage.daemon.must_run("fleet orders")?;
        ensure!(page.contains("[31m") && !page.contains('\u{1b}'), "{page:?}");
        super::await_next_report(stage)?;
        ensure!(mode(stage)? == "enforce", "a bad order was obeyed: {}", stage.daemon.log());

        // The same after a restart: the number of the last order is kept.
        stage.daemon.kill();
        stage.daemon.run()?;
        await_link(stage, "reporting")?;
        await_warning(stage, "is not above")?;
        ensure!(mode(stage)? == "enforce", "obeyed twice: {}", stage.daemon.log());

        // A key that the host does not name any more counts for nothing.
        let text = std::fs::read_to_string(stage.daemon.config_path())?;
        let revoked = text.lines().filter(|line| !line.starts_with("operators"));
        stage.daemon.write(&revoked.collect::<Vec<_>>().join("\n"))?;
        stage.daemon.must_reload()?;
        await_warning(stage, "this host obeys nobody")?;
        stage.edge_is_served()
    });
}

#[test]
fn without_a_readable_record_of_orders_a_host_takes_none() {
    on_fleet(1, obeying, |stage, _| {
        await_link(stage, "reporting")?;
        order(stage, "refresh --all")?;
        let record = stage.lab.dir().join("state/fleet-orders.json");
        stage.daemon.kill();
        std::fs::write(&record, "[{")?;
        stage.daemon.run()?;
        await_warning(stage, "takes no orders")?;
        let refused = order(stage, "observe --all")?;
        ensure!(refused.code == 1, "{}", refused.text());
        ensure!(refused.text().contains("does not take the order"), "{}", refused.text());
        Ok(())
    });
}
