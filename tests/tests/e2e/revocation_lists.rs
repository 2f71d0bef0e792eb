//! Revocation lists as files: how many certificates are in them.

use std::fs;

use anyhow::ensure;
use aop_tests::{AopToml, IpVersion, Lab, Pull};

use crate::stage::on_changed_stage;

fn with_list(config: &mut AopToml, lab: &Lab) {
    config.site().rules = vec![format!("crl = [{:?}]", lab.pki.crl)];
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
