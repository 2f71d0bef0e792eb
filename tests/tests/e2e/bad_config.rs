//! A wrong configuration: the start fails with exit code 1 and one error that names the place and
//! the remedy, and nothing is half applied. `aop check` reports the same error and changes nothing.

use anyhow::ensure;
use aop_tests::config::SiteTable;
use aop_tests::{AopToml, TestDaemon};

use crate::stage::{in_lab, is_guarded, refuses_to_start};

/// The whole claim, for a configuration whose text `break_it` changes.
fn refused(break_it: impl FnOnce(&str) -> String, named: &[&str]) {
    in_lab(|lab| {
        let config = AopToml::new(lab);
        let broken = break_it(&config.text());
        ensure!(broken != config.text(), "the text did not change");
        let mut daemon = TestDaemon::prepare(lab)?;
        daemon.write(&broken)?;
        let check = daemon.verb(&["check"])?;
        let said = format!("{}{}", String::from_utf8_lossy(&check.output), check.errors);
        ensure!(check.code == 1, "aop check ended with {}: {said}", check.code);
        for word in named {
            ensure!(said.contains(word), "aop check says nothing of {word}: {said}");
        }
        refuses_to_start(lab, &mut daemon, named)
    });
}

#[test]
fn the_correct_configuration_is_accepted() {
    in_lab(|lab| {
        let mut daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        let _check = daemon.verb(&["check"])?.success()?;
        ensure!(!is_guarded(lab)?, "a check must touch nothing");
        daemon.run()?;
        ensure!(is_guarded(lab)?);
        Ok(())
    });
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    refused(|text| text.replace("mode =", "mood ="), &["aop.toml:2", "mood"]);
}

#[test]
fn an_error_of_toml_syntax_is_named_with_its_line() {
    refused(|text| text.replacen("[firewall]", "[firewall", 1), &["aop.toml:1"]);
}

#[test]
fn a_status_page_without_an_address_or_for_other_hosts_is_named_with_its_line() {
    let with = |lines: &'static str| {
        move |text: &str| text.replace("[admission]", &format!("[monitor]\n{lines}\n[admission]"))
    };
    refused(with("page = true"), &["aop.toml:", "monitor.page needs monitor.listen"]);
    refused(
        with("page = true\nlisten = \"0.0.0.0:9465\""),
        &["aop.toml:", "only this host may reach the monitor"],
    );
}

#[test]
fn a_host_in_two_sites_is_named() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        let twice = vec!["shop.example.net".into(), "EXAMPLE.com.".into()];
        config.sites.push(SiteTable { hosts: twice, ..SiteTable::new(lab) });
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        refuses_to_start(lab, &mut daemon, &["example.com", "already"])
    });
}

#[test]
fn sites_with_different_client_cas_share_a_byte_upstream_only_with_shared_upstream() {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        let hosts = vec!["shop.example.net".into()];
        let client_ca = vec![lab.pki.foreign_ca.clone()];
        let upstream = "tcp://localhost:8080".into();
        config.sites.push(SiteTable { hosts, client_ca, upstream, ..SiteTable::new(lab) });
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        let named = ["example.com", "shop.example.net", "localhost:8080", "shared_upstream = true"];
        refuses_to_start(lab, &mut daemon, &named)?;
        config.share_the_upstream();
        daemon.write(&config.text())?;
        daemon.run()
    });
}

#[test]
fn an_empty_list_of_client_cas_is_refused() {
    refused(
        |text| {
            let line = text.lines().find(|line| line.starts_with("client_ca")).unwrap_or_default();
            text.replace(line, "client_ca = []")
        },
        &["client_ca", "empty"],
    );
}

#[test]
fn a_malformed_cidr_is_named_and_nothing_of_its_list_is_used() {
    refused(
        |text| text.replace("extra = []", "extra = [\"192.0.2.0/24\", \"192.0.2.0/40\"]"),
        &["aop.toml:5", "192.0.2.0/40"],
    );
}

#[test]
fn an_unusable_mode_attach_or_duration_is_named() {
    refused(|text| text.replace("\"enforce\"", "\"enforced\""), &["aop.toml:2", "enforced"]);
    refused(|text| text.replace("\"10s\"", "\"ten\""), &["ten"]);
    refused(|text| text.replace("tcp://127", "ftp://127"), &["ftp://127"]);
}

#[test]
fn a_url_as_host_and_a_list_without_brackets_are_named_with_what_to_write() {
    let hosts = "[\"example.com\", \"*.example.com\"]";
    let with = |value: &'static str| move |text: &str| text.replace(hosts, value);
    refused(with("[\"https://example.com\"]"), &["is a URL; write only the host: \"example.com\""]);
    refused(
        with("\"example.com\""),
        &["aop.toml:", "list: write [\"example.com\"], with brackets"],
    );
    let extra = |text: &str| text.replace("extra = []", "extra = \"192.0.2.10\"");
    refused(extra, &["aop.toml:5", "write [\"192.0.2.10\"], with brackets"]);
    let mode = |text: &str| text.replace("\"10s\"", "[\"10s\"]");
    refused(mode, &["one string, not a list: write it without brackets"]);
}

#[test]
fn a_key_that_does_not_fit_the_kind_of_upstream_is_named() {
    let table = |line: &str| format!("[site.http]\n{line}\n");
    refused(|text| text.to_owned() + &table("forwarded = \"x\""), &["site.http", "http://"]);
    let http = |text: &str| text.replace("tcp://127", "http://127");
    let h2c = |text: &str| text.replace("tcp://127", "h2c://127");
    refused(|text| h2c(text) + "proxy = \"v1\"\n", &["h2c", "PROXY", "Remove proxy"]);
    refused(|text| text.to_owned() + "proxy_certificate = true\n", &["proxy = \"v2\""]);
    let sends = |list: &str| format!(":443\"]\nproxy_from = {list}\n");
    refused(|text| text.replace(":443\"]\n", &sends("[]")), &["proxy_from is empty"]);
    refused(|text| text.replace(":443\"]\n", &sends("[\"lb\"]")), &["\"lb\"", "CIDR"]);
    refused(|text| http(text) + &table("forwarded = \"all\""), &["\"all\"", "rfc7239"]);
    refused(|text| http(text) + &table("also_hosts = [\"a b\"]"), &["a b"]);
    refused(|text| http(text) + &table("answer = \"5ms\""), &["at least 1s"]);
    refused(|text| http(text) + &table("requests = 0"), &["site.http.requests"]);
}

#[test]
fn an_invalid_rule_is_named_with_its_line() {
    for (rule, named) in [
        ("require_san = [\"edge.example.com\"]", "dns:edge.example.com"),
        ("require_san = [\"dns:*.example.com\"]", "no star"),
        ("require_san = []", "require_san is empty"),
        ("require_cn = \"\"", "require_cn is empty"),
        ("require_key = \"falcon\"", "\"ml-dsa\""),
        ("spki_pins = [\"abcd\"]", "openssl pkey -pubin"),
        ("crl = []", "crl is empty"),
        ("crl_scope = \"leaf\"", "crl names none"),
        ("crl_expired = \"ignore\"", "crl names none"),
        ("expired_ca = \"never\"", "\"refuse\" or \"warn\""),
        ("resumption = \"on\"", "\"off\" or \"verified\""),
    ] {
        refused(|text| format!("{text}{rule}\n"), &["aop.toml:34", named]);
    }
}

#[test]
fn a_listener_without_a_site_is_refused() {
    refused(|text| text.split("[[site]]").next().unwrap_or_default().to_owned(), &["[[site]]"]);
}

#[test]
fn a_wrong_command_line_exits_with_code_2() {
    in_lab(|lab| {
        let daemon = TestDaemon::prepare(lab)?;
        ensure!(daemon.verb(&["run", "--nonsense"])?.code == 2);
        ensure!(daemon.verb(&["nonsense"])?.code == 2);
        Ok(())
    });
}
