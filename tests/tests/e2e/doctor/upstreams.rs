//! An upstream that is dead, that is aop itself, or that speaks TLS: each means 502 for all.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use aop_tests::{AopToml, Child, IpVersion, Lab, Pull, TestUpstream, wait};

use super::diagnose;
use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

fn at(upstream: &'static str) -> impl Fn(&mut AopToml, &Lab) {
    move |config, _| config.site().upstream = upstream.into()
}

/// A line of `aop check`, which ends with this code.
fn checks(stage: &Stage, code: i32, words: &[&str]) -> Result<()> {
    let checked = stage.daemon.verb(&["check"])?;
    let text = checked.text();
    let named = |line: &str| words.iter().all(|word| line.contains(word));
    ensure!(checked.code == code && text.lines().any(named), "{checked:?}");
    Ok(())
}

#[test]
fn an_upstream_at_which_nobody_listens_is_named_until_the_application_starts() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.upstream.stop();
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds_only("upstream_answers")?;
        ensure!(found["about"] == "127.0.0.1:8080", "{found}");
        ensure!(found["visitor"].to_string().contains("502"), "{found}");
        checks(stage, 0, &["warning: ", "nobody listens at the upstream 127.0.0.1:8080"])?;
        stage.upstream = TestUpstream::start(&stage.lab)?;
        diagnose(&stage.daemon, &[])?.is_good("upstream_answers")
    });
}

#[test]
fn a_dead_unix_socket_and_a_dead_host_are_named() {
    let dead = |config: &mut AopToml, lab: &Lab| {
        let socket = lab.dir().join("app.sock");
        config.site().upstream = format!("unix+http://{}", socket.display());
        let mut other = aop_tests::config::SiteTable::new(lab);
        other.hosts = vec!["example.net".into()];
        // The edge, at which nothing listens, is another host.
        other.upstream = format!("http://{}:8080", lab.edge_address(IpVersion::V4));
        config.sites.push(other);
    };
    on_changed_stage(dead, |stage| {
        let found = diagnose(&stage.daemon, &[])?;
        let about = |found: &serde_json::Value| found["about"].as_str().map(str::to_owned);
        let names: Vec<_> =
            found.findings("wrong", "upstream_answers").into_iter().map(about).collect();
        ensure!(names.len() == 2, "{names:?}");
        let socket = stage.lab.dir().join("app.sock");
        let _app = TestUpstream::listening(&stage.lab, &format!("unix:{}", socket.display()))?;
        let edge = stage.lab.edge().clone();
        let _remote = TestUpstream::listening_in(&stage.lab, &edge, "0.0.0.0:8080")?;
        diagnose(&stage.daemon, &[])?.is_clean()
    });
}

#[test]
fn an_upstream_that_is_aop_itself_is_named() {
    on_changed_stage(at("http://127.0.0.1:443"), |stage| {
        let found = diagnose(&stage.daemon, &[])?;
        let found = found.finds("upstream_is_aop")?;
        ensure!(found["about"] == "127.0.0.1:443", "{found}");
        checks(stage, 1, &["wrong: ", "127.0.0.1:443 is aop's own listener 0.0.0.0:443"])
    });
}

#[test]
fn an_upstream_that_speaks_tls_is_named_from_its_port_or_from_its_broken_responses() {
    for port in ["8443", "8444"] {
        let upstream = format!("http://127.0.0.1:{port}");
        let change = |config: &mut AopToml, _: &Lab| config.site().upstream.clone_from(&upstream);
        on_changed_stage(change, |stage| {
            let server = &stage.lab.pki.second_server;
            let address = format!("127.0.0.1:{port}");
            let mut line: Vec<PathBuf> =
                ["openssl", "s_server", "-quiet", "-www"].map(Into::into).into();
            line.extend(["-accept".into(), address.as_str().into(), "-cert".into()]);
            line.extend([server.certificate.clone(), "-key".into(), server.key.clone()]);
            let log = stage.lab.dir().join("tls.log");
            let _tls = Child::serve(stage.lab.origin(), &line, &log)?;
            let to = address.parse()?;
            wait::until("it listens", SOON, || stage.lab.origin().connect(to, SOON).ok())?;
            let outcome = Pull::by_edge(&stage.lab, IpVersion::V4).send()?;
            ensure!(!outcome.served(), "{outcome}");
            let found = diagnose(&stage.daemon, &[])?;
            let found = found.finds_only("upstream_tls")?;
            ensure!(found["cure"].to_string().contains("plain HTTP"), "{found}");
            Ok(())
        });
    }
}
