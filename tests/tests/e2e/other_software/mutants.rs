//! Request smuggling: mutants of HTTP/1.1 requests, and HTTP/2 requests that are dangerous in
//! HTTP/1.1. An application that h11 reads for records every request that arrives.

use anyhow::{Result, ensure};
use aop_tests::script;

use super::{Software, installed, takes_http};
use crate::stage::on_changed_stage;

const READERS: Software = Software::Modules(&["h11", "hpack", "hyperframe"]);

/// Runs a script that sends requests and then reads the record of the application.
fn records(script: &str, arguments: &[&str], cases: usize) {
    if !installed(&READERS) {
        return;
    }
    on_changed_stage(takes_http, |stage| -> Result<()> {
        let record = stage.lab.dir().join("record").display().to_string();
        let application = ["127.0.0.1:9000", &record];
        let _application = script::serve_on_origin(&stage.lab, "application", &application)?;
        let arguments = [&["--record", &record], arguments].concat();
        let done = script::run_as_edge(&stage.lab, script, &arguments)?;
        ensure!(done.len() == cases, "{} cases: {done:?}", done.len());
        Ok(())
    });
}

#[test]
fn no_mutant_of_a_request_makes_the_application_read_another_request() {
    records("mutants", &["--count", "1500", "--seed", "7"], 3);
}

#[test]
fn no_http_2_request_becomes_another_one_in_http_1() {
    records("downgrade", &[], 252);
}
