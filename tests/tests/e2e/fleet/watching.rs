//! An operator who watches a fleet: nobody reads the output, and etcd is away.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{Process, wait};

use super::{REPORTED, await_link, await_next_report, fleet_status, on_fleet, orders};
use crate::stage::Stage;

/// The time between two readings, and a busy machine.
const NEXT: Duration = Duration::from_secs(15);

/// Writes the reports of so many hosts that one page is longer than the 64 KiB of a pipe.
const MANY: &str = "for a in $(seq 4); do { echo; for b in $(seq 120); \
     do echo \"put /aop/hosts/x-$a-$b {}\"; done; echo; echo; } | etcdctl txn >/dev/null; done";
/// The hosts of [`MANY`], and the real one.
const HOSTS: u64 = 481;

/// `aop fleet status --watch` whose output goes into a pipe.
fn watch(stage: &Stage) -> Result<Child> {
    let mut command = stage.lab.origin().command(stage.daemon.program());
    command.args(["fleet", "status", "--watch", "--json", "--config"]);
    command.arg(stage.daemon.config_path()).stdout(Stdio::piped());
    command.spawn().context("cannot watch")
}

#[test]
fn a_watcher_that_does_not_read_holds_nobody_up_and_ends_with_its_reader() {
    on_fleet(1, orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        etcd.script(&["sh", "-c", MANY])?;
        let mut slow = watch(stage)?;
        let process = Process(slow.id());
        let blocked = || std::fs::read_to_string(format!("/proc/{}/wchan", slow.id())).ok();
        wait::until("the watcher waits for its reader", NEXT * 4, || {
            blocked().filter(|it| it.contains("pipe_write"))
        })?;
        let before = process.cpu_time()?;
        await_next_report(stage)?;
        let order = orders::order(stage, "observe --host web-1")?;
        ensure!(order.code == 0, "{}", order.text());
        ensure!(fleet_status(stage, &[])?["sums"]["hosts"] == HOSTS, "not all are seen");
        ensure!(process.cpu_time()? == before, "it did something");
        stage.edge_is_served()?;
        // It goes on where it is read.
        let mut out = BufReader::new(slow.stdout.take().context("no pipe")?);
        let pages = out.by_ref().lines().map_while(Result::ok).filter(|it| it.contains("\"sums\""));
        ensure!(pages.take(2).count() == 2, "there is no second page");
        drop(out);
        let ended = wait::until("the watcher ends", REPORTED, || slow.try_wait().ok().flatten())?;
        ensure!(ended.success(), "{ended}");
        Ok(())
    });
}

#[test]
fn what_a_watcher_prints_is_json_although_etcd_is_away_meanwhile() {
    on_fleet(1, orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        let (out, errors) = (stage.lab.dir().join("watch.json"), stage.lab.dir().join("watch.log"));
        let mut command = stage.lab.origin().command(stage.daemon.program());
        command.args(["fleet", "status", "--watch", "--json", "--config"]);
        command.arg(stage.daemon.config_path());
        let mut watcher =
            command.stdout(File::create(&out)?).stderr(File::create(&errors)?).spawn()?;
        let documents = || {
            let text = fs::read_to_string(&out).ok()?;
            let read = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
            read.collect::<Result<Vec<_>, _>>().ok().map(|all| all.len())
        };
        wait::until("a first document", REPORTED, || documents().filter(|number| *number > 0))?;
        etcd.kill(0);
        wait::until("an error is told", REPORTED, || {
            fs::read_to_string(&errors).ok().filter(|text| text.starts_with("aop: "))
        })?;
        let before = documents().context("no JSON")?;
        etcd.run(0)?;
        etcd.await_quorum()?;
        wait::until("another document", REPORTED, || documents().filter(|it| *it > before))?;
        watcher.kill()?;
        watcher.wait()?;
        Ok(())
    });
}
