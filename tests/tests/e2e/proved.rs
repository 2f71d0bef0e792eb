//! `aop prove`: every shape of the packet table through the firewall in force.

use anyhow::{Context, ensure};
use aop_tests::{Config, Family, World};

use crate::explained::{asked, counters};
use crate::stage::{on_changed_stage, on_stage};

#[test]
fn prove_runs_the_packet_table_and_moves_no_counter() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let before = counters(stage)?;
        let told = stage.daemon.verb(&["prove"])?;
        let text = String::from_utf8_lossy(&told.output);
        let last = text.lines().last().unwrap_or_default();
        let passed = last.strip_suffix(" passed, 0 failed").and_then(|count| count.parse().ok());
        ensure!(told.code == 0 && passed > Some(600), "{text}{}", told.errors);
        ensure!(text.contains("IPv6 fragments") && text.contains("enforcing"), "{text}");
        ensure!(counters(stage)? == before, "a live counter moved");
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(proof["strangers"].as_array().is_some_and(|sources| sources.len() == 2), "{proof}");
        ensure!(proof["admitted"].as_array().is_some_and(|sources| sources.len() == 2), "{proof}");
        Ok(())
    });
}

#[test]
fn prove_fits_its_shapes_to_an_unusual_policy() {
    let unusual = |config: &mut Config, world: &World| {
        let origin = world.origin_at(Family::V4, 443).ip();
        // The host itself is admitted, one family has nobody, and strangers must be looked for.
        let list = [format!("{origin}/32"), "198.51.100.0/24".into(), "198.0.0.0/8".into()];
        config.prefixes = aop_tests::config::Prefixes::List(list.into());
        config.ports = vec![443, 8080, 8081];
    };
    on_changed_stage(unusual, |stage| {
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(proof["failed"] == 0 && proof["passed"].as_u64() > Some(400), "{proof}");
        let admitted = proof["admitted"].as_array().context("no list")?;
        ensure!(admitted.len() == 1 && proof["port"] == 443, "{proof}");
        Ok(())
    });
}

#[test]
fn without_privilege_both_name_what_is_missing() {
    on_stage(|stage| {
        stage.daemon.kill();
        stage.daemon.drop_privilege()?;
        let mut command = stage.world.origin().command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.arg(stage.world.dir().join("aop")).args(["prove", "--config"]);
        command.arg(stage.daemon.config_path());
        let told = aop_tests::child::finish(command, &[], crate::stage::SOON)?;
        ensure!(told.code == 1 && told.errors.contains("CAP_BPF"), "{told:?}");
        Ok(())
    });
}

#[test]
fn prove_knows_the_optional_rules() {
    on_stage(|stage| {
        let text = stage.config.text().replace("[firewall]\n", "[firewall]\nudp = \"drop\"\n");
        let learning = "[admission]\nbudget_syn = 3\n";
        let text = text.replace("probation_syn = 0\n", "probation_syn = 5\n");
        stage.daemon.write(&text.replace("[admission]\n", learning))?;
        stage.daemon.reload()?;
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(proof["failed"] == 0 && proof["passed"].as_u64() > Some(600), "{proof}");
        let udp = proof["groups"].as_array().context("no groups")?.last().context("no group")?;
        ensure!(udp["dropped"].as_u64() > Some(3), "{udp}");
        let stranger = stage.world.stranger_address(Family::V4).to_string();
        let answer = asked(&stage.daemon, &["explain", &stranger])?;
        ensure!(answer["reason"] == "probation", "{answer}");
        Ok(())
    });
}
