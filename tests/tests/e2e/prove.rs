//! `aop prove`: it runs every shape of the packet table through the active firewall.

use std::fs;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, IpVersion, Lab};
use serde_json::Value;

use crate::explain::{asked, counters};
use crate::stage::{on_changed_stage, on_stage};

/// The items of a list in the output.
fn items<'a>(proof: &'a Value, list: &str) -> Result<&'a Vec<Value>> {
    proof[list].as_array().with_context(|| format!("no {list}: {proof}"))
}

/// The verdicts for a shape: with full budgets, and with spent budgets.
fn got<'a>(proof: &'a Value, name: &str) -> Result<Vec<&'a str>> {
    let of_it = |it: &&Value| it["name"] == name;
    Ok(items(proof, "shapes")?.iter().filter(of_it).filter_map(|it| it["got"].as_str()).collect())
}

/// Whether a shape is listed as not applicable, with a reason that contains `why`.
fn does_not_apply(proof: &Value, name: &str, why: &str) -> Result<bool> {
    let is_it = |it: &Value| {
        it["name"] == name && it["why"].as_str().is_some_and(|told| told.contains(why))
    };
    Ok(items(proof, "not_applicable")?.iter().any(is_it))
}

#[test]
fn prove_runs_the_packet_table_and_changes_no_counter() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let before = counters(stage)?;
        let told = stage.daemon.verb(&["prove"])?;
        let text = String::from_utf8_lossy(&told.output);
        let last = text.lines().last().unwrap_or_default();
        let passed = last.strip_suffix(" passed, 0 failed").and_then(|count| count.parse().ok());
        ensure!(told.code == 0 && passed > Some(600), "{text}{}", told.errors);
        ensure!(text.contains("IPv6 fragments") && text.contains("enforcing"), "{text}");
        ensure!(
            text.contains("no IPv4 prefix drains") && text.contains("- IPv4 peer: in a"),
            "{text}"
        );
        ensure!(text.contains("8 the kernel does not run frames under 14 bytes"), "{text}");
        ensure!(text.contains("`if spent`: networks have no budget"), "{text}");
        let all = stage.daemon.verb(&["prove", "--shapes"])?;
        let text = String::from_utf8_lossy(&all.output);
        let shape = |line: &str| line.starts_with("tcp.shapes:") && line.ends_with(": plain SYN");
        ensure!(text.lines().filter(|line| shape(line)).count() == 4, "{text}");
        ensure!(counters(stage)? == before, "a live counter moved");
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(items(&proof, "not_runnable")?.len() == 8, "{proof}");
        ensure!(got(&proof, "IPv6 stranger: plain SYN")? == ["drop (unknown_source)"], "{proof}");
        ensure!(does_not_apply(
            &proof,
            "IPv4 peer: in a draining prefix",
            "no IPv4 prefix drains"
        )?);
        ensure!(does_not_apply(
            &proof,
            "IPv4 stranger: to a host beyond",
            "does not forward IPv4"
        )?);
        ensure!(proof["strangers"].as_array().is_some_and(|sources| sources.len() == 2), "{proof}");
        ensure!(proof["admitted"].as_array().is_some_and(|sources| sources.len() == 2), "{proof}");
        Ok(())
    });
}

#[test]
fn prove_fits_its_shapes_to_an_unusual_policy() {
    let unusual = |config: &mut AopToml, lab: &Lab| {
        let origin = lab.origin_at(IpVersion::V4, 443).ip();
        // The host itself is admitted, no IPv6 address is, and strangers are hard to find.
        let list = [format!("{origin}/32"), "198.51.100.0/24".into(), "198.0.0.0/8".into()];
        config.prefixes = PrefixesTable::List(list.into());
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
fn prove_tests_a_draining_prefix_with_its_peers_and_neighbours() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.config.prefixes = PrefixesTable::List(vec!["192.0.2.0/24".into()]);
        stage.reload()?;
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(proof["failed"] == 0, "{}", proof["failures"]);
        let peer = stage.lab.edge_address(IpVersion::V4).to_string();
        ensure!(*items(&proof, "peers")? == [Value::from(peer)], "{}", proof["peers"]);
        let of = |who: &str, shape: &str| got(&proof, &format!("{who}: {shape}"));
        ensure!(of("IPv4 peer", "in a draining prefix")? == ["pass (proven)"]);
        ensure!(of("IPv4 neighbour", "in a draining prefix")? == ["drop (unknown_source)"]);
        ensure!(of("IPv4 peer", "fragment")? == ["pass (proven)"]);
        ensure!(of("IPv4 neighbour", "fragment")? == ["drop (fragment)"]);
        // No peer has authenticated over IPv6, but its prefixes drain too.
        ensure!(of("IPv6 neighbour", "in a draining prefix")? == ["drop (unknown_source)"]);
        let why = "no peer has authenticated in the draining IPv6 prefix";
        ensure!(does_not_apply(&proof, "IPv6 peer: in a draining prefix", why)?, "{proof}");
        Ok(())
    });
}

#[test]
fn prove_tests_a_peer_whose_prefix_is_gone() {
    on_changed_stage(
        |config, _| config.admission_drain = "0s",
        |stage| {
            stage.edge_is_served()?;
            stage.config.prefixes = PrefixesTable::List(vec!["192.0.2.0/24".into()]);
            stage.reload()?;
            let gone = "IPv4 departed: its prefix long gone";
            let proof = asked(&stage.daemon, &["prove"])?;
            ensure!(proof["failed"] == 0, "{}", proof["failures"]);
            ensure!(got(&proof, gone)? == ["drop (unknown_source)"], "{proof}");
            stage.config.probation_syn = 5;
            stage.reload()?;
            let proof = asked(&stage.daemon, &["prove"])?;
            ensure!(proof["failed"] == 0, "{}", proof["failures"]);
            ensure!(got(&proof, gone)? == ["pass (proven)"; 2], "{:?}", got(&proof, gone)?);
            Ok(())
        },
    );
}

#[test]
fn prove_tests_transit_on_a_host_that_forwards() {
    on_stage(|stage| {
        let beyond = |family: IpVersion| format!("{family} stranger: to a host beyond");
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(items(&proof, "beyond")?.is_empty(), "{}", proof["beyond"]);
        for family in IpVersion::BOTH {
            ensure!(got(&proof, &beyond(family))? == ["drop (unknown_source)"], "{proof}");
        }
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            let switch = format!("/proc/sys/net/{switch}");
            stage.lab.origin().inside(|| fs::write(switch, "1"))??;
        }
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(proof["failed"] == 0, "{}", proof["failures"]);
        ensure!(items(&proof, "beyond")?.len() == 2, "{}", proof["beyond"]);
        for family in IpVersion::BOTH {
            ensure!(got(&proof, &beyond(family))? == ["pass (transit)"], "{proof}");
        }
        Ok(())
    });
}

#[test]
fn without_privilege_prove_names_what_is_missing() {
    on_stage(|stage| {
        stage.daemon.kill();
        stage.daemon.drop_privilege()?;
        let mut command = stage.lab.origin().command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.arg(stage.lab.dir().join("aop")).args(["prove", "--config"]);
        command.arg(stage.daemon.config_path());
        let told = aop_tests::child::finish(command, &[], crate::stage::SOON)?;
        ensure!(told.code == 1 && told.errors.contains("CAP_BPF"), "{told:?}");
        Ok(())
    });
}

#[test]
fn prove_tests_the_optional_rules() {
    on_stage(|stage| {
        let text = stage.config.text().replace("[firewall]\n", "[firewall]\nudp = \"drop\"\n");
        let learning = "[admission]\nbudget_syn = 3\n";
        let text = text.replace("probation_syn = 0\n", "probation_syn = 5\n");
        stage.daemon.write(&text.replace("[admission]\n", learning))?;
        stage.daemon.reload()?;
        let proof = asked(&stage.daemon, &["prove"])?;
        ensure!(proof["failed"] == 0 && proof["passed"].as_u64() > Some(600), "{proof}");
        let of_stranger = got(&proof, "IPv4 stranger: plain SYN")?;
        ensure!(of_stranger == ["pass (probation)", "drop (unknown_source)"], "{of_stranger:?}");
        let of_admitted = got(&proof, "IPv6 admitted: plain SYN")?;
        ensure!(of_admitted == ["pass (admitted)", "drop (syn_budget)"], "{of_admitted:?}");
        let off = |it: &&Value| !it["rule"].is_null() && it["rule"] != "forwarding";
        let off = items(&proof, "not_applicable")?.iter().filter(off).count();
        ensure!(off == 0, "{}", proof["not_applicable"]);
        let udp = proof["groups"].as_array().context("no groups")?.last().context("no group")?;
        ensure!(udp["dropped"].as_u64() > Some(3), "{udp}");
        let stranger = stage.lab.stranger_address(IpVersion::V4).to_string();
        let answer = asked(&stage.daemon, &["explain", &stranger])?;
        ensure!(answer["reason"] == "probation", "{answer}");
        Ok(())
    });
}
