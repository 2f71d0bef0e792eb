//! HTTP/2 as Python's `hyperframe` and `hpack` write it: odd, malformed, and in an odd order.

use anyhow::{Result, ensure};
use aop_tests::{AopToml, Lab, script};

use super::{Software, installed, takes_h2c, takes_http};
use crate::stage::on_changed_stage;

const H2: Software = Software::Modules(&["h11", "h2", "hpack", "hyperframe"]);

/// Runs scripts of the edge on a stage with an application. Each has so many cases.
fn runs(application: (fn(&mut AopToml, &Lab), &str, &[&str]), scripts: &[(&str, usize)]) {
    if !installed(&H2) {
        return;
    }
    let (takes, name, arguments) = application;
    on_changed_stage(takes, |stage| -> Result<()> {
        let arguments = [&["127.0.0.1:9000"], arguments].concat();
        let _application = script::serve_on_origin(&stage.lab, name, &arguments)?;
        for (script, count) in scripts {
            let cases = script::run_as_edge(&stage.lab, script, &[])?;
            ensure!(cases.len() == *count, "{} cases: {cases:?}", cases.len());
        }
        Ok(())
    });
}

#[test]
fn odd_and_malformed_streams_leave_others_alone_and_errors_of_a_connection_are_named() {
    let scripts = [("odd_streams", 66), ("connection_errors", 26)];
    runs((takes_http, "application", &[]), &scripts);
}

#[test]
fn odd_and_malformed_streams_leave_other_streams_of_an_h2c_upstream_alone() {
    runs((takes_h2c, "application_h2c", &[]), &[("odd_streams", 66)]);
}

#[test]
fn uploads_that_wait_for_an_h2c_upstream_or_are_refused_once_arrive_whole() {
    runs((takes_h2c, "application_h2c", &["0.5"]), &[("waiting_bodies", 3)]);
}
