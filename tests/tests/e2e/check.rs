//! `aop check` describes each file and lists faults first. It describes the other files even if one
//! file prevents a start.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, bail, ensure};
use aop_tests::{AopToml, Lab, TestDaemon};
use serde_json::Value;

use crate::stage::in_lab;

fn checked(lab: &Lab, config: &AopToml, code: i32) -> Result<(String, Value)> {
    let daemon = TestDaemon::with_config(lab, config)?;
    let text = daemon.verb(&["check"])?;
    let json = daemon.verb(&["check", "--json"])?;
    ensure!((text.code, json.code) == (code, code), "{text:?}");
    Ok((text.text(), json.json()?))
}

#[test]
fn each_file_of_a_site_is_described_by_subject_key_and_dates() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        config.site().client_ca.push("cloudflare-global".into());
        // Under the scope of chains, a client CA without a list is a mistake.
        config.site().rules =
            vec![format!("crl = [{:?}]", lab.pki.crl), "crl_scope = \"leaf\"".into()];
        let (text, json) = checked(lab, &config, 0)?;
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
fn faults_come_first_and_the_exit_code_is_1_also_if_the_site_can_be_served() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        // A leaf instead of its CA, and a server certificate for other hosts.
        config.site().client_ca = vec![lab.pki.edge.certificate.clone()];
        config.site().certificate.clone_from(&lab.pki.second_server.certificate);
        config.site().key.clone_from(&lab.pki.second_server.key);
        let (text, json) = checked(lab, &config, 1)?;
        ensure!(json["good"] == true, "{json}");
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
fn a_key_that_every_user_can_read_is_a_mistake() {
    in_lab(|lab| {
        let config = AopToml::new(lab);
        let mode =
            |mode| fs::set_permissions(&lab.pki.server.key, fs::Permissions::from_mode(mode));
        // ssl-cert of Debian: a group that may read keys.
        mode(0o640)?;
        let (text, _) = checked(lab, &config, 0)?;
        ensure!(!text.contains("every user"), "{text}");
        mode(0o644)?;
        let (text, _) = checked(lab, &config, 1)?;
        ensure!(text.contains("server.key can be read or changed by every user"), "{text}");
        ensure!(text.contains("`chmod o= "), "{text}");
        Ok(())
    });
}

#[test]
fn a_guarded_port_of_ssh_is_warned_of() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        config.ports = vec![22, 443];
        let (text, _) = checked(lab, &config, 0)?;
        ensure!(text.contains("warning: firewall.ports has 22, the port of SSH"), "{text}");
        Ok(())
    });
}

#[test]
fn a_warning_is_printed_if_every_address_may_send_proxy_headers() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        config.proxy_from = vec!["192.0.2.0/24".into()];
        let (text, _) = checked(lab, &config, 0)?;
        ensure!(!text.contains("proxy_from"), "{text}");
        config.proxy_from.push("::/0".into());
        let (text, _) = checked(lab, &config, 0)?;
        ensure!(text.contains("warning: [::]:443: proxy_from names everybody"), "{text}");
        Ok(())
    });
}

#[test]
fn if_one_file_is_invalid_the_others_are_still_described() {
    in_lab(|lab| {
        fs::write(&lab.pki.server.key, "nonsense")?;
        let (text, json) = checked(lab, &AopToml::new(lab), 1)?;
        ensure!(text.contains("error: holds no private key"), "{text}");
        ensure!(text.contains("CA CN=Example Operator Client CA"), "{text}");
        ensure!(!text.contains("good"), "{text}");
        ensure!(json["good"] == false);
        ensure!(json["error"].as_str().is_some_and(|error| error.contains("server.key")), "{json}");
        Ok(())
    });
}
