//! A prefix list that is old or empty.

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, Lab, wait};

use super::diagnose;
use crate::stage::{SOON, on_changed_stage};

#[test]
fn a_stale_list_is_named_with_the_error_of_its_source() {
    let stale = |config: &mut AopToml, _: &Lab| {
        config.mode = "observe";
        // There is no listener, and the built-in list is older than three times this.
        config.prefixes = PrefixesTable::Mirror("http://127.0.0.1:9/ips".into());
        config.refresh = "12h";
    };
    on_changed_stage(stale, |stage| {
        stage.edge_is_served()?;
        wait::until("the first fetch has failed", SOON, || {
            let status = stage.daemon.status().ok()?;
            Some(status.json()["prefixes"]["last_error"].clone()).filter(|it| it.is_string())
        })?;
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("list")?;
        ensure!(found["visitor"].to_string().contains("522"), "{found}");
        let evidence = found["evidence"].to_string();
        ensure!(evidence.contains("h ago") && evidence.contains("127.0.0.1:9"), "{evidence}");
        Ok(())
    });
}

#[test]
fn a_list_that_admits_nobody_is_named() {
    let empty = |config: &mut AopToml, _: &Lab| {
        config.mode = "observe";
        config.prefixes = PrefixesTable::List(Vec::new());
    };
    on_changed_stage(empty, |stage| -> Result<()> {
        let found = diagnose(&stage.daemon, &[])?;
        ensure!(found.finds_only("list")?["visitor"].to_string().contains("522"));
        Ok(())
    });
}
