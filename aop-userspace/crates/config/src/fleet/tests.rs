//! Tests of `[fleet]`.

use super::*;
use crate::tests::{LISTENER, SITE, read};

const FILES: &str = "ca = \"ca.pem\"\ncertificate = \"host.pem\"\nkey = \"host.key\"\n";
const TLS: &str = "endpoints = [\"https://10.0.0.1:2379\"]\n";

fn fleet(lines: &str) -> Result<FleetConfig, String> {
    let config = read(&format!("{LISTENER}{SITE}[fleet]\n{lines}"))?;
    Ok(config.live.fleet.expect("a fleet"))
}

#[test]
fn without_the_table_there_is_no_fleet() {
    assert_eq!(read(&format!("{LISTENER}{SITE}")).expect("it").live.fleet, None);
}

#[test]
fn everything_has_its_place() {
    let key = OperatorKey::from([7; 32]);
    let more = format!(
        "prefix = \"/aop/production\"\nname = \"web-17\"\noperators = [\"{key}\"]\n\
         labels = {{ region = \"eu\", ring = \"canary\" }}\n"
    );
    let fleet = fleet(&format!("{TLS}{FILES}{more}")).expect("a fleet");
    assert_eq!(fleet.endpoints[0].to_string(), "https://10.0.0.1:2379");
    assert_eq!(fleet.files.expect("files").key, PathBuf::from("host.key"));
    assert_eq!(fleet.prefix.as_str(), "/aop/production");
    assert_eq!(fleet.name.expect("a name").as_str(), "web-17");
    assert_eq!(fleet.labels.as_map()["ring"], "canary");
    assert_eq!(fleet.operators, [key]);
}

#[test]
fn an_endpoint_is_a_host_and_a_port() {
    for (text, host, port) in [
        ("https://etcd-1.example.net", "etcd-1.example.net", 2379),
        ("https://[2001:db8::1]:1234/", "2001:db8::1", 1234),
        ("http://127.0.0.1:9", "127.0.0.1", 9),
        ("http://[::1]", "::1", 2379),
    ] {
        let endpoint: EtcdEndpoint = text.parse().expect(text);
        assert_eq!((endpoint.host(), endpoint.port()), (host, port));
        assert_eq!(endpoint.is_plain(), text.starts_with("http:"));
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
    for text in [
        "http://10.0.0.1:2379",
        "http://etcd.example.net",
        "http://localhost:2379",
        "10.0.0.1:2379",
        "https://",
        "https://:2379",
        "https://a:0",
        "https://a:65536",
        "https://a:1:2",
        "https://a/v3",
        "https://a?x",
        "https://[::1",
        "https://[a]:1",
        "https://[::1]1",
        "https://user@a",
        "unix:/run/etcd.sock",
    ] {
        let error = text.parse::<EtcdEndpoint>().expect_err(text);
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn files_and_https_belong_together() {
    let plain = "endpoints = [\"http://127.0.0.1:2379\"]\n";
    assert_eq!(fleet(plain).expect("a trial").files, None);
    for (lines, why) in [
        (TLS.to_owned(), "add fleet.ca, fleet.certificate and fleet.key"),
        (format!("{plain}{FILES}"), "does not protect http://"),
        (format!("{TLS}ca = \"ca.pem\"\n"), "belong together"),
        ("endpoints = []\n".to_owned(), "must name 1 to 16 members"),
        (FILES.to_owned(), "endpoints"),
    ] {
        let error = fleet(&lines).expect_err(why);
        assert!(error.contains(why) && error.starts_with("aop.toml:"), "{error}");
    }
}

#[test]
fn names_labels_and_keys_hold_no_other_characters() {
    let key = OperatorKey::from([7; 32]);
    for (line, why) in [
        ("name = \"web\\u001b[31m\"", "no name of a host"),
        ("name = \"a/b\"", "no name of a host"),
        ("name = \"\"", "no name of a host"),
        ("labels = { ring = \"a\\nb\" }", "no label"),
        ("labels = { \"a b\" = \"c\" }", "no label"),
        ("labels = { a = \"\" }", "no label"),
        ("prefix = \"aop\"", "fleet.prefix"),
        ("prefix = \"/\"", "fleet.prefix"),
        ("prefix = \"/aop/\"", "fleet.prefix"),
        ("prefix = \"/a\\u0000\"", "fleet.prefix"),
        ("operators = [\"ed25519:AAAA\"]", "32 bytes"),
        ("operators = [\"rsa:AAAA\"]", "aop fleet key create"),
        (&format!("operators = [\"{key}\", \"{key}\"]"), "twice"),
    ] {
        let error = fleet(&format!("{TLS}{FILES}{line}\n")).expect_err(line);
        assert!(error.contains(why) && error.starts_with("aop.toml:"), "{error}");
    }
    let many: String = (0..17).map(|at| format!("l{at} = \"x\",")).collect();
    let error = fleet(&format!("{TLS}{FILES}labels = {{ {many} }}\n")).expect_err("many");
    assert!(error.contains("more than 16 labels"), "{error}");
}

#[test]
fn a_workstation_reads_the_fleet_alone() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("[fleet]\n{TLS}{FILES}")).expect("written");
    let fleet = crate::Config::fleet(file.path()).expect("readable").expect("a fleet");
    assert_eq!(fleet.endpoints.len(), 1);
}
