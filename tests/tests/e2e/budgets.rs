//! `aop explain SOURCE` tells what is left of the live budgets, and spends nothing of them.

use anyhow::{Context, Result, ensure};
use aop_tests::{Daemon, Family, hand, wait};
use serde_json::Value;

use crate::explained::asked;
use crate::stage::{SOON, on_changed_stage, on_stage};

/// What is told of now, as people read it.
fn sentence(daemon: &Daemon, source: &str) -> Result<String> {
    let told = daemon.verb(&["explain", source])?;
    let text = String::from_utf8(told.output)?;
    let line = text.lines().find(|line| line.starts_with("Now: "));
    line.map(str::to_owned).with_context(|| format!("nothing of now: {text}"))
}

#[test]
fn explain_tells_what_an_admitted_network_has_left_and_whether_it_is_over() {
    on_stage(|stage| {
        let source = stage.world.neighbour_address(Family::V4).to_string();
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

        // Another one of the network opens connections, none of which it ends with a certificate.
        let to = stage.world.origin_at(Family::V4, 443);
        let over = wait::until("the network is over its budget", SOON, || {
            let _stream = hand::connect(stage.world.edge(), to).ok()?;
            let answer = explained().ok()?;
            (answer["budget"]["over"] == true).then_some(answer)
        })?;
        ensure!(over["budget"]["left"].as_f64() < Some(1.0), "{over}");
        let told = over["now"].as_str().context("nothing of now")?;
        ensure!(told.contains("over its budget") && told.contains("is dropped"), "{told}");
        // The verdict is that of a network with all of its budget, as ever.
        ensure!(over["action"] == "pass" && over["reason"] == "admitted", "{over}");

        stage.edge_is_served()?;
        let exempt = explained()?;
        ensure!(exempt["budget"]["exempt"] == "network", "{exempt}");
        ensure!(exempt["budget"]["over"] == false, "{exempt}");
        Ok(())
    });
}

#[test]
fn explain_tells_how_a_stranger_stands_with_the_tries_that_strangers_share() {
    on_changed_stage(
        |config, _| config.probation_syn = 5,
        |stage| {
            let source = stage.world.stranger_address(Family::V4).to_string();
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
            let to = stage.world.origin_at(Family::V4, 443);
            let _stream = hand::connect(stage.world.stranger(), to)?;
            let probation = explained()?;
            let left = probation["tried_for_seconds"].as_u64();
            ensure!(left.is_some_and(|left| (20..=30).contains(&left)), "{probation}");
            ensure!(sentence(&stage.daemon, &source)?.contains("is on probation"));
            Ok(())
        },
    );
}
