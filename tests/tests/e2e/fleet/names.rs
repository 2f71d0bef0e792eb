//! Names that two hosts claim, other text in etcd, and what etcd lets a host do.

use anyhow::ensure;

use super::{HOST, KEY, REPORTED, as_it_is, await_link, await_seen, fleet_status, on_fleet};

const OTHER: &str = r#"{"name":"web-1","instance":"other"}"#;

#[test]
fn a_host_never_overwrites_the_report_of_another_one_and_both_are_told() {
    let taken = |_: &mut _, _: &_, etcd: &aop_tests::EtcdCluster| etcd.put(KEY, OTHER);
    on_fleet(1, taken, |stage, etcd| {
        let link = await_link(stage, "name_taken")?;
        let why = link["error"].as_str().unwrap_or_default();
        ensure!(why.contains("another host reports as web-1"), "{link}");
        ensure!(etcd.value(KEY)? == OTHER, "it was overwritten");
        stage.edge_is_served()?;
        // The other host reads the claim, as this one does below.
        let claims = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/aop/claims/web-1/"])?;
        ensure!(claims.text().contains("/aop/claims/web-1/"), "{claims:?}");
        // The other one leaves.
        etcd.etcdctl(&["del", KEY])?.success()?;
        await_link(stage, "reporting")?;
        let claims = etcd.etcdctl(&["get", "--prefix", "--keys-only", "/aop/claims/"])?;
        ensure!(claims.text().trim().is_empty(), "{claims:?}");
        stage.edge_is_served()
    });
}

#[test]
fn a_host_whose_name_another_one_claims_tells_it() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        etcd.put("/aop/claims/web-1/abc", r#"{"instance":"abc","at":"2026-01-01T00:00:00Z"}"#)?;
        aop_tests::wait::until("the claim is told", REPORTED, || {
            let status = stage.daemon.status().ok()?;
            let told = status.json()["warnings"].to_string();
            told.contains("another host claims the name web-1").then_some(())
        })?;
        let host = await_seen(stage, "the operator is told", |host| host["state"] == "unclear")?;
        ensure!(host["reasons"].to_string().contains("claims this name"), "{host}");
        Ok(())
    });
}

#[test]
fn a_copied_disk_is_told() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let own = etcd.value(KEY)?;
        aop_tests::wait::until("the copy is told", REPORTED * 3, || {
            // The copy reports, too.
            etcd.put(KEY, &own).ok()?;
            stage.daemon.must_run("mode enforce").ok()?;
            std::thread::sleep(std::time::Duration::from_secs(1));
            let status = stage.daemon.status().ok()?;
            status.json()["warnings"].to_string().contains("were a copy of the other").then_some(())
        })?;
        stage.edge_is_served()
    });
}

#[test]
fn whatever_is_in_etcd_an_operator_reads_safe_text() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let report = etcd.value(KEY)?;
        let ugly = report
            .replace(r#""version":""#, "\"version\":\"\\u001b[31m")
            .replace("web-1", "web-2")
            .replace(r#""warnings":[""#, "\"warnings\":[\"\\u001b]0;x\\u0007\\u202e");
        etcd.put("/aop/hosts/web-2", &ugly)?;
        etcd.put("/aop/hosts/web-3", "no JSON")?;
        etcd.put("/aop/hosts/web-4", &"x".repeat(100_000))?;
        etcd.put("/aop/hosts/\u{1b}[2J", &report)?;
        etcd.put("/aop/seen/web-5", "{}")?;
        for verb in ["fleet status", "fleet status --host web-2", "fleet identities"] {
            let text = stage.daemon.must_run(verb)?;
            ensure!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        }
        let status = fleet_status(stage, &[])?;
        let state = |name: &str| {
            let hosts = status["hosts"].as_array().into_iter().flatten();
            hosts.clone().find(|host| host["name"] == name).map(|host| host["state"].clone())
        };
        ensure!(state("web-3") == Some("unclear".into()), "{status}");
        ensure!(state("web-4") == Some("unclear".into()), "{status}");
        ensure!(state("web-5").is_none() && status["sums"]["hosts"] == 4, "{status}");
        let text = stage.daemon.must_run("fleet status")?;
        ensure!(text.contains("2 keys in etcd cannot be read"), "{text}");
        Ok(())
    });
}

#[test]
fn with_the_roles_of_the_script_a_host_writes_its_own_keys_alone_and_a_fleet_is_apart() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/fleet/etcd-roles.sh");
        let host = etcd.pki.user("web-9")?;
        etcd.script(&["sh", script, "/aop", "operator", "oncall"])?;
        etcd.script(&["sh", script, "/aop", "host", "web-9"])?;
        etcd.script(&["sh", script, "/aop", "host", HOST])?;
        let node = etcd.pki.user("nodes")?;
        etcd.script(&["sh", script, "/aop", "group", "nodes"])?;
        etcd.script(&["sh", script, "/aop", "enable"])?;
        for of_group in ["/aop/hosts/web-7", "/aop/seen/web-7", "/aop/claims/web-7/a"] {
            etcd.etcdctl_as(&node, &["put", of_group, "x"])?.success()?;
            etcd.etcdctl_as(&node, &["del", of_group])?.success()?;
        }
        let refused = etcd.etcdctl_as(&node, &["put", "/aop/orders/1", "x"])?;
        ensure!(refused.errors.contains("permission denied"), "{refused:?}");
        let put = |name: &str| etcd.etcdctl_as(&host, &["put", name, "x"]);
        for own in ["/aop/hosts/web-9", "/aop/seen/web-9", "/aop/claims/web-9/a"] {
            put(own)?.success()?;
        }
        for others in [KEY, "/aop/hosts/web-99", "/aop/seen/web-1", "/aop/orders/1", "/x"] {
            let refused = put(others)?;
            ensure!(refused.errors.contains("permission denied"), "{others}: {refused:?}");
        }
        // The host still reports, and no host reads what the others say.
        super::await_next_report(stage)?;
        let refused = stage.daemon.verb(&["fleet", "status"])?;
        ensure!(
            refused.code == 1 && refused.errors.contains("Grant its user the role"),
            "{refused:?}"
        );
        let operator = stage.lab.dir().join("operator.toml");
        std::fs::write(&operator, format!("[fleet]\n{}", etcd.table("oncall")?))?;
        let seen = stage.daemon.verb_with(&["fleet", "status", "--json"], &operator)?.success()?;
        ensure!(seen.json()?["sums"]["hosts"] == 2, "{}", seen.text());
        // Another fleet in the same etcd, below this one or beside it, is apart.
        let production = etcd.pki.user("production")?;
        for prefix in ["/aop/production", "/other"] {
            etcd.script(&["sh", script, prefix, "operator", "production"])?;
            for part in ["hosts", "seen", "claims", "orders"] {
                let key = format!("{prefix}/{part}/x");
                etcd.etcdctl_as(&production, &["get", &key])?.success()?;
                for user in [&etcd.pki.user("oncall")?, &node, &host] {
                    for words in [vec!["get", key.as_str()], vec!["put", key.as_str(), "x"]] {
                        let refused = etcd.etcdctl_as(user, &words)?;
                        let why = &refused.errors;
                        ensure!(why.contains("permission denied"), "{words:?}: {refused:?}");
                    }
                }
            }
        }
        let refused = etcd.etcdctl_as(&production, &["get", KEY])?;
        ensure!(refused.errors.contains("permission denied"), "{refused:?}");
        etcd.put("/aop/seen/web-8", r#"{"instance":"x","at":"2026-01-01T00:00:00Z"}"#)?;
        stage.daemon.verb_with(&["fleet", "forget", "web-8"], &operator)?.success()?;
        let refused = stage.daemon.verb_with(&["fleet", "forget", HOST], &operator)?;
        ensure!(refused.code == 1 && refused.errors.contains("is not forgotten"), "{refused:?}");
        stage.edge_is_served()
    });
}
