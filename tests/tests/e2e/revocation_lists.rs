//! Revocation lists as files: of which CA they are, and how many certificates are in them.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::config::SiteTable;
use aop_tests::{AopToml, IpVersion, Lab, Pki, Pull, TestDaemon, wait};

use crate::stage::{in_lab, on_changed_stage, refuses_to_start};

#[test]
fn a_client_ca_that_was_renewed_with_another_key_has_a_list_of_each_key() {
    on_changed_stage(
        |config, lab| {
            let Pki { namesake_ca, crl, crl_of_namesake, .. } = &lab.pki;
            config.site().client_ca.push(namesake_ca.clone());
            config.site().rules = vec![format!("crl = [{crl:?}, {crl_of_namesake:?}]")];
        },
        |stage| {
            let pki = &stage.lab.pki;
            let pull = |by| Pull::by_edge(&stage.lab, IpVersion::V4).certificate(by);
            for (good, revoked) in
                [(&pki.edge, &pki.revoked), (&pki.namesake, &pki.revoked_by_namesake)]
            {
                pull(good).must_be_served()?;
                stage.refuses(&pull(revoked), "revoked")?;
            }
            Ok(())
        },
    );
}

/// A replacement for the list of the client CA, and the message of aop about it.
type Wrong = (fn(&Pki) -> Result<Vec<u8>>, &'static str);

const WRONG: [Wrong; 3] = [
    (|pki| Ok(fs::read(&pki.crl_of_foreign)?), "which is no client CA of this site"),
    (|pki| Ok(fs::read(&pki.crl_of_namesake)?), "no CA of this name signed"),
    (
        |pki| {
            let mut damaged = fs::read(&pki.crl_grown)?;
            *damaged.last_mut().expect("a list") ^= 1;
            Ok(damaged)
        },
        "no CA of this name signed",
    ),
];

#[test]
fn at_a_reload_a_list_that_no_client_ca_signed_is_named_and_the_old_one_stays() {
    on_changed_stage(with_list, |stage| {
        let pki = &stage.lab.pki;
        for (wrong, words) in WRONG {
            fs::write(&pki.crl, wrong(pki)?)?;
            for said in [stage.daemon.verb(&["check"])?.errors, stage.daemon.reload()?] {
                ensure!(said.contains("clients.crl.pem: ") && said.contains(words), "{said}");
            }
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(&pki.revoked);
            stage.refuses(&pull, "revoked")?;
        }
        // Without a command, as when a job fetches the list.
        wait::until("the watch reports it", Duration::from_secs(20), || {
            let log = stage.daemon.log();
            log.contains("changed files of sites were refused").then_some(())
        })?;
        stage.edge_is_served()
    });
}

#[test]
fn at_a_start_a_list_that_no_client_ca_signed_is_named() {
    for (wrong, words) in WRONG {
        in_lab(|lab| {
            let mut config = AopToml::new(lab);
            with_list(&mut config, lab);
            fs::write(&lab.pki.crl, wrong(&lab.pki)?)?;
            let mut daemon = TestDaemon::with_config(lab, &config)?;
            ensure!(daemon.verb(&["check"])?.code == 1, "aop check finds nothing");
            refuses_to_start(lab, &mut daemon, &["clients.crl.pem", words])
        });
    }
}

fn with_list(config: &mut AopToml, lab: &Lab) {
    config.site().rules = vec![format!("crl = [{:?}]", lab.pki.crl)];
}

#[test]
fn a_list_of_a_hundred_thousand_certificates_is_in_memory_once_for_fifty_sites() {
    on_changed_stage(
        |config, lab| {
            let list = lab.pki.long_list(100_000).expect("a list");
            let copy = lab.dir().join("copy.crl.pem");
            fs::copy(&list, &copy).expect("a copy");
            config.site().rules = vec![format!("crl = [{list:?}]")];
            for n in 1..50 {
                // Half of the sites name it by another path.
                let rules = vec![format!("crl = [{:?}]", if n % 2 == 0 { &list } else { &copy })];
                let hosts = vec![format!("{n}.example.net")];
                config.sites.push(SiteTable { hosts, rules, ..SiteTable::second(lab) });
            }
            config.share_the_upstream();
        },
        |stage| {
            for process in [stage.daemon.process()?, stage.daemon.terminator()?] {
                let mebibytes = process.memory()? / 1024 / 1024;
                eprintln!("{mebibytes} MiB");
                ensure!(mebibytes < 100, "{mebibytes} MiB");
            }
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
            stage.refuses(&pull.certificate(&stage.lab.pki.revoked), "revoked").map(drop)
        },
    );
}

#[test]
fn files_that_are_too_large_for_the_terminator_are_named() {
    on_changed_stage(with_list, |stage| {
        let crl = &stage.lab.pki.crl;
        let list = fs::read(crl)?;
        // Text between the sections of a PEM file means nothing. JSON writes this byte as six.
        fs::write(crl, [vec![1; 12 * 1024 * 1024], b"\n".to_vec(), list].concat())?;
        for verb in ["check", "reload"] {
            let done = stage.daemon.verb(&[verb])?;
            let said = done.text() + &done.errors;
            ensure!(
                said.contains("aop.toml: this file and those of its sites take 73 MiB")
                    && said.contains("at most 64 MiB. The largest is ")
                    && said.contains("clients.crl.pem"),
                "{said}"
            );
        }
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        stage.refuses(&pull.certificate(&stage.lab.pki.revoked), "revoked").map(drop)
    });
}
