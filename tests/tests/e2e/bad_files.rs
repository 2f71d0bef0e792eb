//! Files that are missing, empty, malformed or exchanged: the start fails with exit code 1 and an
//! error that names the file, and nothing is half applied.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, Lab, Pki, TestDaemon, child};

use crate::stage::{SOON, in_lab, refuses_to_start};

/// The whole claim, after `break_it` has changed some files.
fn refused(break_it: impl FnOnce(&Pki) -> Result<()>, named: &[&str]) {
    refused_with(|lab, _| break_it(&lab.pki), named);
}

fn refused_with(break_it: impl FnOnce(&Lab, &mut AopToml) -> Result<()>, named: &[&str]) {
    in_lab(|lab| {
        let mut config = AopToml::new(lab);
        break_it(lab, &mut config)?;
        let mut daemon = TestDaemon::with_config(lab, &config)?;
        ensure!(daemon.verb(&["check"])?.code == 1, "aop check finds nothing");
        refuses_to_start(lab, &mut daemon, named)
    });
}

fn halve(path: &Path) -> Result<()> {
    let whole = fs::read(path)?;
    Ok(fs::write(path, &whole[..whole.len() / 2])?)
}

#[test]
fn a_missing_configuration_is_named() {
    in_lab(|lab| {
        let mut daemon = TestDaemon::prepare(lab)?;
        refuses_to_start(lab, &mut daemon, &["aop.toml", "no such file"])
    });
}

#[test]
fn a_missing_certificate_key_or_client_ca_is_named() {
    refused(|pki| Ok(fs::remove_file(&pki.server.certificate)?), &["server.pem", "no such file"]);
    refused(|pki| Ok(fs::remove_file(&pki.server.key)?), &["server.key", "no such file"]);
    refused(|pki| Ok(fs::remove_file(&pki.client_ca)?), &["client-ca.pem", "no such file"]);
}

#[test]
fn a_path_that_ends_with_the_semicolon_of_nginx_is_named() {
    refused_with(
        |_, config| {
            config.site().certificate.as_mut_os_string().push(";");
            Ok(())
        },
        &["server.pem;", "no such file", "remove the `;`"],
    );
}

#[test]
fn a_key_with_a_passphrase_is_named_with_the_command_that_removes_it() {
    refused(
        |pki| {
            let mut openssl = Command::new("openssl");
            openssl.args(["pkey", "-aes256", "-passout", "pass:secret", "-in"]);
            openssl.arg(&pki.edge.key).arg("-out").arg(&pki.server.key);
            child::finish(openssl, &[], SOON)?.success().map(drop)
        },
        &["server.key", "no passphrase", "openssl pkey -in FILE -out NEW"],
    );
}

#[test]
fn a_key_that_does_not_belong_to_its_certificate_is_named_with_it() {
    refused(
        |pki| Ok(fs::copy(&pki.second_server.key, &pki.server.key).map(drop)?),
        &["server.key", "server.pem", "does not belong"],
    );
}

#[test]
fn an_empty_client_ca_is_named() {
    refused(|pki| Ok(fs::write(&pki.client_ca, "")?), &["client-ca.pem", "empty"]);
}

#[test]
fn a_malformed_client_ca_is_named() {
    refused(|pki| halve(&pki.client_ca), &["client-ca.pem"]);
    refused(|pki| Ok(fs::write(&pki.client_ca, "not PEM\n")?), &["client-ca.pem", "PEM"]);
}

/// Invalid bytes in PEM must not become a trust anchor.
#[test]
fn a_client_ca_with_invalid_bytes_in_pem_is_named() {
    let nonsense = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n";
    refused(|pki| Ok(fs::write(&pki.client_ca, nonsense)?), &["client-ca.pem"]);
}

#[test]
fn a_key_instead_of_a_certificate_is_named() {
    refused(
        |pki| Ok(fs::copy(&pki.server.key, &pki.server.certificate).map(drop)?),
        &["server.pem", "key"],
    );
}

#[test]
fn a_malformed_server_certificate_is_named() {
    refused(|pki| halve(&pki.server.certificate), &["server.pem"]);
}

#[test]
fn a_malformed_cidr_in_a_file_is_named_with_its_line() {
    refused_with(
        |lab, config| {
            let list = lab.dir().join("list.txt");
            fs::write(&list, "192.0.2.0/24\n\nnonsense\n")?;
            config.prefixes = PrefixesTable::File(list);
            Ok(())
        },
        &["list.txt:3", "nonsense"],
    );
}

#[test]
fn a_missing_or_empty_prefix_file_is_named() {
    let with = |text: Option<&'static str>| {
        move |lab: &Lab, config: &mut AopToml| {
            let list = lab.dir().join("list.txt");
            if let Some(text) = text {
                fs::write(&list, text)?;
            }
            config.prefixes = PrefixesTable::File(list);
            Ok(())
        }
    };
    refused_with(with(None), &["list.txt", "No such file"]);
    refused_with(with(Some("# nothing\n")), &["list.txt", "no prefix"]);
}
