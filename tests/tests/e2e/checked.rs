//! `aop check` tells what stands in each file, with what is wrong first, and also beside a file that
//! stands in the way.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::{Config, Daemon, World};
use serde_json::Value;

use crate::stage::in_a_world;

fn checked(world: &World, config: &Config, code: i32) -> Result<(String, Value)> {
    let daemon = Daemon::prepare(world)?;
    daemon.write(&config.text())?;
    let text = daemon.verb(&["check"])?;
    let json = daemon.verb(&["check", "--json"])?;
    ensure!((text.code, json.code) == (code, code), "{text:?}");
    Ok((String::from_utf8(text.output)?, serde_json::from_slice(&json.output)?))
}

#[test]
fn each_file_of_a_site_is_told_by_subject_key_and_dates() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        config.site().client_ca.push("cloudflare-global".into());
        config.site().rules = vec![format!("crl = [{:?}]", world.pki.crl)];
        let (text, json) = checked(world, &config, 0)?;
        for words in [
            "site example.com (example.com, *.example.com)",
            "leaf CN=example.com",
            "dns:example.com, dns:*.example.com",
            "CA CN=Example Operator Client CA",
            "self-signed, ECDSA P-256, 2020-01-01 to 2120-01-01",
            "client_ca cloudflare-global",
            "RSA 4096, 2019-10-10 to 2029-11-01",
            "list of CN=Example Operator Client CA: 1 certificate, 2020-06-01 to 2120-01-01",
            "good: 1 site",
        ] {
            ensure!(text.contains(words), "nothing of {words:?}:\n{text}");
        }
        ensure!(json["good"] == true && json["error"].is_null());
        let files = json["sites"][0]["files"].as_array().context("no files")?;
        let roles: Vec<&str> = files.iter().filter_map(|file| file["role"].as_str()).collect();
        ensure!(roles == ["certificate", "key", "client_ca", "client_ca", "crl"], "{roles:?}");
        let ca = &files[2]["certificates"][0];
        ensure!(ca["ca"] == true && ca["key"] == "ECDSA P-256", "{ca}");
        ensure!(ca["spki_sha256"].as_str().is_some_and(|key| key.len() == 64), "{ca}");
        ensure!(files[4]["lists"][0]["entries"] == 1);
        Ok(())
    });
}

#[test]
fn what_is_wrong_comes_first_and_is_no_error_where_it_can_be_served() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        // A leaf where its CA belongs, and a server certificate for other hosts.
        config.site().client_ca = vec![world.pki.edge.certificate.clone()];
        config.site().certificate.clone_from(&world.pki.second_server.certificate);
        config.site().key.clone_from(&world.pki.second_server.key);
        let (text, json) = checked(world, &config, 0)?;
        let told: Vec<&str> = text.lines().take_while(|line| !line.starts_with("site ")).collect();
        let [wrong, warnings @ ..] = &told[..] else { bail!("nothing is told: {text}") };
        ensure!(wrong.starts_with("wrong: "), "{text}");
        ensure!(wrong.contains("edge.pem holds a certificate that is not a CA"), "{text}");
        ensure!(wrong.contains("(CN=Example Operator Client CA)"), "{text}");
        ensure!(warnings.iter().all(|line| line.starts_with("warning: ")), "{text}");
        let says = |words: &str| warnings.iter().any(|warning| warning.contains(words));
        ensure!(says("second-server.pem has no name for example.com, *.example.com"), "{text}");
        ensure!(json["warnings"].as_array().map(Vec::len) == Some(told.len()));
        ensure!(json["mistakes"].as_array().map(Vec::len) == Some(1), "{json}");
        ensure!(text.contains("can run, but has 1 mistake"), "{text}");
        Ok(())
    });
}

#[test]
fn who_may_speak_for_visitors_is_worth_a_word_where_it_is_everybody() {
    in_a_world(|world| {
        let mut config = Config::new(world);
        config.proxy_from = vec!["192.0.2.0/24".into()];
        let (text, _) = checked(world, &config, 0)?;
        ensure!(!text.contains("proxy_from"), "{text}");
        config.proxy_from.push("::/0".into());
        let (text, _) = checked(world, &config, 0)?;
        ensure!(text.contains("warning: [::]:443: proxy_from names everybody"), "{text}");
        Ok(())
    });
}

#[test]
fn beside_a_file_that_stands_in_the_way_the_others_are_told() {
    in_a_world(|world| {
        fs::write(&world.pki.server.key, "nonsense")?;
        let (text, json) = checked(world, &Config::new(world), 1)?;
        ensure!(text.contains("error: holds no private key"), "{text}");
        ensure!(text.contains("CA CN=Example Operator Client CA"), "{text}");
        ensure!(!text.contains("good"), "{text}");
        ensure!(json["good"] == false);
        ensure!(json["error"].as_str().is_some_and(|error| error.contains("server.key")), "{json}");
        Ok(())
    });
}
