//! Clocks that are apart. `faketime` sets the clock of the daemon, or that of the operator.

use std::thread::{ScopedJoinHandle, scope};

use anyhow::{Context, Result, ensure};
use aop_tests::child::{self, CommandOutput};

use super::orders::{self, await_warning, key_file, mode};
use super::{REPORTED, await_link, fleet_status, on_fleet};
use crate::stage::Stage;

/// Starts a program with another clock. The clock of waits is not changed.
const FAKETIME: [&str; 3] = ["faketime", "--exclude-monotonic", "-f"];

/// `aop fleet observe --all` by an operator whose clock is `apart` from the one of this machine.
/// It ends after 20 s where the host does not obey.
fn observe_at(stage: &Stage, apart: &str) -> Result<CommandOutput> {
    let mut command = stage.lab.origin().command("timeout");
    command.arg("20").args(FAKETIME).arg(apart).arg(stage.daemon.program());
    command.args(["fleet", "observe", "--all", "--json", "--key"]);
    command.arg(key_file(stage.lab.dir())).arg("--config").arg(stage.daemon.config_path());
    child::finish(command, &[], REPORTED)
}

#[test]
fn orders_count_with_clocks_five_minutes_apart_and_beyond_ten_the_clocks_are_named() {
    on_fleet(1, orders::obeying, |stage, etcd| {
        stage.daemon.wrap_with(&[&FAKETIME[..], &["+300s"]].concat());
        stage.daemon.run()?;
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        let seen = fleet_status(stage, &[])?;
        let why = seen["hosts"][0]["reasons"][0].as_str().context("no reason")?;
        ensure!(
            why.ends_with("s apart") && (why.contains("are 4 min") || why.contains("are 5 min")),
            "{why}"
        );
        stage.daemon.must_run("mode enforce")?;
        orders::order(stage, "observe --all")?.success()?;
        ensure!(mode(stage)? == "observe", "five minutes are no reason");
        stage.daemon.must_run("mode enforce")?;

        // Eleven minutes behind the host, and eleven minutes ahead of it.
        let stage = &*stage;
        scope(|scope| {
            let both = [
                ("-6m", "which is over by the clock of this host"),
                ("+16m", "which is in the future: compare the clocks"),
            ];
            let both = both.map(|(apart, why)| {
                scope.spawn(move || {
                    // On a busy machine the time of an operator may end before the order is given.
                    for last in [false, true] {
                        let given = observe_at(stage, apart)?;
                        ensure!(given.code != 0, "{}", given.text());
                        // The order stays in etcd.
                        match await_warning(stage, why) {
                            Err(_) if !last => {}
                            told => return told.with_context(|| format!("{given:?}")),
                        }
                    }
                    anyhow::bail!("no attempt")
                })
            });
            let join = |it: ScopedJoinHandle<'_, _>| {
                it.join().unwrap_or_else(|_| anyhow::bail!("it panicked"))
            };
            both.into_iter().try_for_each(join)
        })?;
        ensure!(mode(stage)? == "enforce", "obeyed: {}", stage.daemon.log());
        etcd.etcdctl(&["del", "--prefix", "/aop/orders/"])?.success()?;

        // Nine minutes ahead of the host. The next operator has the right time, and does not see
        // the order of the first one any more.
        observe_at(stage, "+14m")?.success()?;
        ensure!(mode(stage)? == "observe", "nine minutes are no reason");
        etcd.etcdctl(&["del", "--prefix", "/aop/orders/"])?.success()?;
        stage.daemon.must_run("mode enforce")?;
        let last = orders::order(stage, "observe --all")?;
        ensure!(last.code == 0, "{}", last.text());
        ensure!(mode(stage)? == "observe", "{}", stage.daemon.log());
        let order = &last.json()?["waves"][0]["order"];
        let ahead =
            order["serial"].as_i64().context("no number")? - jiff::Timestamp::now().as_second();
        ensure!(ahead > 600, "its number does not follow that of the other operator: {order}");
        stage.edge_is_served()
    });
}
