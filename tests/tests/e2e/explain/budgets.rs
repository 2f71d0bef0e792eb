//! `aop explain SOURCE` prints the rest of the live budgets and spends nothing of them.

use anyhow::{Context, Result, ensure};
use aop_tests::{IpVersion, TestDaemon, client, wait};
use serde_json::Value;

use crate::explain::asked;
use crate::stage::{SOON, on_changed_stage, on_stage};

/// The sentence for people about the present moment.
fn sentence(daemon: &TestDaemon, source: &str) -> Result<String> {
    let told = daemon.verb(&["explain", source])?;
    let text = told.text();
    let line = text.lines().find(|line| line.starts_with("Now: "));
    line.map(str::to_owned).with_context(|| format!("nothing of now: {text}"))
}

#[test]
fn explain_prints_the_rest_of_the_budget_of_an_admitted_network() {
    on_stage(|stage| {
        let source = stage.lab.neighbour_address(IpVersion::V4).to_string();
        let explained = || asked(&stage.daemon, &["explain", &source]);
        ensure!(explained()?["budget"].is_null() && explained()?["now"].is_null());
        let budget = "[admission]\nbudget_syn = 1\n";
        stage.daemon.write(&stage.config.text().replace("[admission]\n", budget))?;
        stage.daemon.reload()?;
        for _ in 0..3 {
            let budget = &explained()?["budget"];
            ensure!(budget["network"] == "173.245.48.0/24" && budget["per_second"] == 1);
            ensure!(budget["left"] == 1.0 && budget["over"] == false, "{budget}");
        }
        ensure!(sentence(&stage.daemon, &source)?.contains("1.0 of 1 new connections a second"));

        // Another address of the network opens connections and never presents a certificate.
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        let over = wait::until("the network is over its budget", SOON, || {
            let _stream = client::connect(stage.lab.edge(), to).ok()?;
            let answer = explained().ok()?;
            (answer["budget"]["over"] == true).then_some(answer)
        })?;
        ensure!(over["budget"]["left"].as_f64() < Some(1.0), "{over}");
        let told = over["now"].as_str().context("nothing of now")?;
        ensure!(told.contains("over its budget") && told.contains("is dropped"), "{told}");
        // The verdict is still that for a network with its whole budget.
        ensure!(over["action"] == "pass" && over["reason"] == "admitted", "{over}");

        stage.edge_is_served()?;
        let exempt = explained()?;
        ensure!(exempt["budget"]["exempt"] == "network", "{exempt}");
        ensure!(exempt["budget"]["over"] == false, "{exempt}");
        Ok(())
    });
}

#[test]
fn explain_prints_the_rest_of_the_shared_probation_budget() {
    on_changed_stage(
        |config, _| config.probation_syn = 5,
        |stage| {
            let source = stage.lab.stranger_address(IpVersion::V4).to_string();
            let explained = || -> Result<Value> {
                let answer = asked(&stage.daemon, &["explain", &source])?;
                ensure!(answer["reason"] == "probation", "{answer}");
                Ok(answer["probation"].clone())
            };
            for _ in 0..3 {
                let probation = explained()?;
                ensure!(probation["left"] == 5.0 && probation["over"] == false, "{probation}");
                ensure!(probation["tried_for_seconds"].is_null(), "{probation}");
            }
            ensure!(sentence(&stage.daemon, &source)?.contains("5.0 of 5"));
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let _stream = client::connect(stage.lab.stranger(), to)?;
            let probation = explained()?;
            let left = probation["tried_for_seconds"].as_u64();
            ensure!(left.is_some_and(|left| (20..=30).contains(&left)), "{probation}");
            ensure!(sentence(&stage.daemon, &source)?.contains("is on probation"));
            Ok(())
        },
    );
}
