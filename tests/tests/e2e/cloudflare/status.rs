//! The status, and every disagreement that it names.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use aop_tests::cloudflare_api::Delays;

use super::{ZONE, on_cloudflare_stage, read};

#[test]
fn where_cloudflare_this_host_and_the_arrivals_agree_nothing_is_found() {
    on_cloudflare_stage(|scene| {
        let site = scene.finds(&[])?;
        let zone = &site["zones"][0];
        ensure!(zone["zone"] == ZONE && zone["status"] == "active", "{zone}");
        ensure!(zone["ssl_mode"] == "strict" && zone["zone_on"] == true, "{zone}");
        ensure!(zone["hosts"].as_array().is_some_and(|hosts| hosts.len() == 2), "{zone}");
        ensure!(zone["hosts"][0]["presents"] == "zone", "{zone}");
        let certificate = &zone["certificates"][0];
        ensure!(certificate["id"] == scene.edge.as_str() && certificate["status"] == "active");
        ensure!(certificate["subject"] == "CN=edge.example.com", "{certificate}");
        ensure!(certificate["last_seen"].is_string() && certificate["refused_as"].is_null());
        let (seen, listed) = (&site["identities"][0], certificate);
        ensure!(seen["serial"] == listed["serial"] && seen["spki_sha256"] == listed["spki_sha256"]);
        let trusts = &site["trusts"][0];
        let path = scene.stage.lab.pki.client_ca.display().to_string();
        ensure!(trusts["client_ca"] == path.as_str(), "{trusts}");
        ensure!(trusts["subjects"][0] == "CN=Example Operator Client CA", "{trusts}");
        let screen = scene.verb(&[])?.text();
        ensure!(screen.starts_with("example.com: all agree\n"), "{screen}");
        ensure!(screen.lines().count() <= 24, "{screen}");
        scene.pull()?.must_be_served().map(drop)
    });
}

#[test]
fn each_mistake_in_the_zone_is_named() {
    on_cloudflare_stage(|scene| {
        for mode in ["flexible", "off"] {
            scene.change(|zone| zone.ssl = mode.to_owned());
            scene.finds(&["!ssl_mode"])?;
            scene.pull()?.must_be_refused()?;
        }
        scene.change(|zone| zone.ssl = "some_new_mode".to_owned());
        scene.finds(&["ssl_mode_unknown"])?;
        scene.change(|zone| zone.certificates.clear());
        scene.finds(&["!zone_without_certificate", "unexpected_arrival"])?;
        scene.pull()?.must_be_refused()?;
        scene.change(|zone| zone.zone = false);
        scene.finds(&["!nothing_on", "zone_switched_off"])?;
        scene.pull()?.must_be_refused()?;

        scene.change(|_| ());
        scene.pull()?.must_be_served()?;
        let named = read(&scene.stage.lab.pki.named)?;
        scene.api.edit(|state| state.store(ZONE, false, &named.0, &named.1));
        let site = scene.finds(&["two_active", "not_seen"])?;
        ensure!(site["zones"][0]["certificates"].as_array().is_some_and(|all| all.len() == 2));
        // The newer one is presented, and only this host can tell.
        scene.pull()?.must_be_served()?;
        let site = scene.finds(&["two_active"])?;
        ensure!(site["identities"][0]["subject"] == site["zones"][0]["certificates"][1]["subject"]);
        Ok(())
    });
}

#[test]
fn a_certificate_on_its_way_and_one_that_never_arrives_are_named() {
    on_cloudflare_stage(|scene| {
        let minute = Duration::from_secs(60);
        scene.api.edit(|state| {
            state.delays = Delays { initializing: minute, deployment: minute, ..Delays::default() };
        });
        let named = scene.stage.lab.pki.named.clone();
        scene.upload(&named)?;
        let late = ["!zone_without_certificate", "deploying", "unexpected_arrival"];
        let site = scene.finds(&late)?;
        ensure!(site["zones"][0]["certificates"][0]["status"] == "initializing", "{site}");
        scene.api.edit(|state| {
            (state.delays, state.deployments_time_out) = (Delays::default(), true);
        });
        scene.upload(&named)?;
        let lost = ["!zone_without_certificate", "!deployment_timed_out", "unexpected_arrival"];
        scene.finds(&lost).map(drop)
    });
}

#[test]
fn each_mistake_of_a_host_is_named() {
    on_cloudflare_stage(|scene| {
        let (certificate, key) = read(&scene.stage.lab.pki.edge)?;
        scene.change(|_| ());
        let id = scene.api.edit(|state| {
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, ZONE, &id, Some(true));
            id
        });
        let site = scene.finds(&[])?;
        let host = &site["zones"][0]["hosts"][0];
        ensure!(host["presents"] == "host" && host["associated"] == id.as_str(), "{host}");
        scene.api.edit(|state| state.associate(ZONE, ZONE, &id, Some(false)));
        scene.finds(&["!host_disabled"])?;
        scene.pull()?.must_be_refused()?;
        scene.api.edit(|state| state.associate(ZONE, ZONE, &id, None));
        scene.finds(&[])?;
        scene.pull()?.must_be_served()?;

        scene.api.edit(|state| {
            let deployment = Duration::from_secs(60);
            state.delays = Delays { deployment, ..Delays::default() };
            state.associate(ZONE, ZONE, &id, Some(true));
        });
        scene.finds(&["host_deploying"])?;
        scene.api.edit(|state| {
            (state.delays, state.deployments_time_out) = (Delays::default(), true);
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, ZONE, &id, Some(true));
        });
        scene.finds(&["!deployment_timed_out", "!host_without_certificate"]).map(drop)
    });
}

#[test]
fn each_certificate_that_this_host_would_refuse_is_named_with_the_reason() {
    on_cloudflare_stage(|scene| {
        let pki = &scene.stage.lab.pki;
        scene.upload(&pki.expired)?;
        scene.finds(&["!expired", "unexpected_arrival"])?;
        scene.pull()?.must_be_refused()?;
        for (files, reason) in [
            (&pki.ca_as_leaf, "ca_as_leaf"),
            (&pki.foreign, "unknown_ca"),
            (&pki.wrong_usage, "wrong_usage"),
            (&pki.version_1()?, "certificate_version"),
        ] {
            scene.upload(files)?;
            let site = scene.site(&[])?;
            let certificate = &site["zones"][0]["certificates"][0];
            ensure!(certificate["refused_as"] == reason, "{certificate}");
            let finding = &site["findings"][0];
            ensure!(finding["name"] == "leaf_refused", "{site}");
            ensure!(finding["said"].as_str().is_some_and(|said| said.contains(reason)));
            scene.pull()?.must_be_refused()?;
        }
        // A rule of the site, in the configuration that is written but not loaded yet.
        let rule = "require_san = [\"dns:other.example.com\"]";
        scene.stage.config.site().rules.push(rule.to_owned());
        scene.configure(&scene.token_file(super::TOKEN, 0o600)?)?;
        scene.change(|_| ());
        let site = scene.finds(&["!leaf_refused"])?;
        ensure!(site["requires"][0] == "require_san dns:other.example.com", "{site}");
        ensure!(site["zones"][0]["certificates"][0]["refused_as"] == "san_missing", "{site}");
        // And a file that cannot be read.
        fs::write(&scene.stage.lab.pki.client_ca, "damaged")?;
        let site = scene.site(&[])?;
        ensure!(site["zones"][0]["certificates"][0]["refused_as"] == "no_rules", "{site}");
        Ok(())
    });
}

#[test]
fn a_client_ca_that_is_missing_and_one_that_nobody_uses_are_named() {
    on_cloudflare_stage(|scene| {
        scene.change(|zone| {
            (zone.zone, zone.global) = (false, true);
            zone.certificates.clear();
        });
        let found = ["!global_untrusted", "unexpected_arrival"];
        scene.finds(&found)?;
        scene.change(|_| ());
        let foreign = scene.stage.lab.pki.foreign_ca.clone();
        scene.stage.config.site().client_ca.push(foreign.clone());
        scene.configure(&scene.token_file(super::TOKEN, 0o600)?)?;
        let site = scene.finds(&["ca_unused"])?;
        ensure!(site["findings"][0]["about"] == foreign.display().to_string().as_str(), "{site}");
        // A certificate of it, which Cloudflare does not present, is use enough.
        let (certificate, key) = read(&scene.stage.lab.pki.foreign)?;
        scene.api.edit(|state| {
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, ZONE, &id, Some(true));
        });
        scene.finds(&["not_seen"])?;
        let cas = &mut scene.stage.config.site().client_ca;
        cas.pop();
        cas.push("cloudflare-global".into());
        scene.configure(&scene.token_file(super::TOKEN, 0o600)?)?;
        scene.change(|_| ());
        scene.finds(&["ca_unused"]).map(drop)
    });
}

#[test]
fn without_a_daemon_the_status_says_so_and_shows_what_the_last_one_saw() {
    on_cloudflare_stage(|scene| {
        scene.stage.daemon.stop()?;
        let site = scene.finds(&[])?;
        ensure!(site["identities"][0]["subject"] == "CN=edge.example.com", "{site}");
        let screen = scene.verb(&[])?.text();
        ensure!(screen.contains("no daemon runs; this is what the last one saw"), "{screen}");
        let document = scene.verb(&["--json"])?.json()?;
        ensure!(document["identities_from"] == "stored", "{document}");
        Ok(())
    });
}

#[test]
fn a_host_below_a_star_is_asked_for_by_name() {
    on_cloudflare_stage(|scene| {
        let (certificate, key) = read(&scene.stage.lab.pki.edge)?;
        scene.api.edit(|state| {
            let id = state.store(ZONE, true, &certificate, &key);
            state.associate(ZONE, "shop.example.com", &id, Some(false));
        });
        scene.finds(&[])?;
        let site = scene.site(&["--site", "shop.example.com"])?;
        ensure!(site["findings"][0]["name"] == "host_disabled", "{site}");
        ensure!(site["findings"][0]["about"] == "shop.example.com", "{site}");
        let unknown = scene.verb(&["--site", "www.example.org"])?;
        ensure!(unknown.code == 1 && unknown.errors.contains("the sites are example.com"));
        Ok(())
    });
}

#[test]
fn all_pages_of_a_list_are_read_and_a_list_that_lags_is_believed_as_it_is() {
    on_cloudflare_stage(|scene| {
        let named = read(&scene.stage.lab.pki.named)?;
        scene.api.edit(|state| {
            state.page_size = 2;
            for _ in 0..4 {
                state.store(ZONE, false, &named.0, &named.1);
            }
        });
        let site = scene.site(&[])?;
        let listed = site["zones"][0]["certificates"].as_array().map(Vec::len);
        ensure!(listed == Some(5), "{site}");
        let list = format!("/zones/{}/origin_tls_client_auth?", scene.good.id);
        let calls = scene.api.calls();
        let pages: Vec<&str> = calls
            .iter()
            .filter_map(|call| call.path.strip_prefix(&list)?.split('&').next())
            .collect();
        ensure!(pages == ["page=1", "page=2", "page=3"], "{pages:?}");
        scene.change(|zone| zone.certificates.clear());
        scene.api.edit(|state| {
            state.delays = Delays { list_lag: Duration::from_secs(60), ..Delays::default() };
            state.store(ZONE, false, &named.0, &named.1)
        });
        scene.finds(&["!zone_without_certificate", "unexpected_arrival"]).map(drop)
    });
}
