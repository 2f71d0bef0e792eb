//! Far too many keys, and far too long ones: no host blinds an operator, and no operator a host.

use anyhow::ensure;
use aop_tests::EtcdCluster;

use super::orders::{self, await_warning, order};
use super::{HOST, await_link, await_next_report, await_seen, fleet_status, on_fleet};

/// Writes 13 values of 1.4 MB below the key `$0`: together they are longer than any answer.
const LONG: &str = "for at in $(seq 13); do \
     head -c 1400000 /dev/zero | tr '\\0' x | etcdctl put $0$at >/dev/null || exit 1; done";

fn write_long(etcd: &EtcdCluster, key: &str) -> anyhow::Result<()> {
    etcd.script(&["sh", "-c", LONG, key]).map(drop)
}

#[test]
fn long_reports_claims_and_orders_hide_no_host_and_stop_no_order() {
    on_fleet(1, orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        await_seen(stage, "the certificate arrives", |host| {
            host["report"]["sites"][0]["identities"][0]["pulls"] == 1
        })?;
        // A host may write any number of claims to its own name, and one report.
        write_long(etcd, "/aop/claims/web-9/")?;
        write_long(etcd, "/aop/hosts/x-")?;
        let seen = fleet_status(stage, &[])?;
        ensure!(seen["sums"]["hosts"] == 14 && seen["sums"]["unclear"] == 13, "{}", seen["sums"]);
        let own = fleet_status(stage, &["--host", HOST])?;
        ensure!(own["hosts"][0]["report"]["name"] == HOST, "{own}");
        let found = stage.daemon.verb(&["fleet", "identities", "--json"])?.success()?.json()?;
        ensure!(found["unclear"].as_array().is_some_and(|it| it.len() == 13), "{found}");
        ensure!(found["certificates"][0]["hosts"][0]["host"] == HOST, "{found}");

        write_long(etcd, "/aop/orders/1")?;
        for _ in 0..2 {
            await_next_report(stage)?;
        }
        await_warning(stage, "hold no order, and are ignored: 13")?;
        let given = order(stage, "observe --all")?;
        ensure!(given.code == 0, "{}\n{}", given.text(), stage.daemon.log());
        let warnings = stage.daemon.status()?.json()["warnings"].to_string();
        ensure!(!warnings.contains("copy of the other"), "{warnings}");
        stage.edge_is_served()
    });
}

#[test]
fn an_order_behind_more_than_a_page_of_others_is_taken_and_all_are_told() {
    on_fleet(1, orders::obeying, |stage, etcd| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        let junk = |at| (format!("/aop/orders/{at:020}"), "no order".to_owned());
        etcd.put_all(&(1..=150).map(junk).collect::<Vec<_>>())?;
        await_warning(stage, "hold no order, and are ignored: 150")?;
        let given = order(stage, "observe --all")?;
        ensure!(given.code == 0, "{}\n{}", given.text(), stage.daemon.log());
        let shown = stage.daemon.verb(&["fleet", "orders", "--json"])?.success()?.json()?;
        ensure!(shown["unreadable"] == 150 && shown["more"] == false, "{shown}");
        ensure!(shown["orders"].as_array().is_some_and(|it| it.len() == 1), "{shown}");
        // The next number must be above all others, and not all of them are seen.
        let junk = |at| (format!("/aop/orders/09{at:018}"), "no order".to_owned());
        etcd.put_all(&(0..1100).map(junk).collect::<Vec<_>>())?;
        await_warning(stage, "etcd has more orders than are read")?;
        let refused = order(stage, "observe --all")?;
        let error = refused.json()?["error"].as_str().unwrap_or_default().to_owned();
        ensure!(refused.code == 1 && error.contains("etcd has more orders"), "{refused:?}");
        let shown = stage.daemon.verb(&["fleet", "orders", "--json"])?.success()?.json()?;
        ensure!(shown["more"] == true, "{shown}");
        stage.edge_is_served()
    });
}
