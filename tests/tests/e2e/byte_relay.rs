//! The relay of bytes between an origin pull and its upstream.

use std::io::Write;

use anyhow::ensure;
use aop_tests::client::{self, TlsClient};
use aop_tests::{AopToml, IpVersion, Lab, Pull, TestUpstream};

use crate::stage::{on_changed_stage, on_stage};

const BIG: usize = 24 * 1024 * 1024;

fn socket(lab: &Lab) -> String {
    lab.dir().join("app.sock").display().to_string()
}

#[test]
fn an_upstream_may_listen_on_a_unix_socket() {
    let change = |config: &mut AopToml, lab: &Lab| {
        config.site().upstream = format!("unix://{}", socket(lab));
    };
    on_changed_stage(change, |stage| {
        let behind = TestUpstream::listening(&stage.lab, &format!("unix:{}", socket(&stage.lab)))?;
        let outcome = Pull::by_edge(&stage.lab, IpVersion::V6).path("/hello").send()?;
        ensure!(outcome.body() == b"the upstream answers /hello\n", "{outcome}");
        ensure!(behind.count()? == 1 && stage.upstream.count()? == 0);
        Ok(())
    });
}

#[test]
fn an_upstream_may_be_a_host_name() {
    let change = |config: &mut AopToml, _: &Lab| {
        config.site().upstream = "tcp://localhost:8080".to_owned();
    };
    on_changed_stage(change, |stage| {
        stage.edge_is_served()?;
        // The terminator resolves names while it runs, from files that may be replaced meanwhile.
        let line = stage.daemon.terminator()?.command()?;
        ensure!(line.iter().any(|word| word == "--names"), "{line:?}");
        Ok(())
    });
}

#[test]
fn a_big_body_is_relayed_completely_in_both_directions() {
    on_stage(|stage| {
        let body: Vec<u8> = (0_u8..251).cycle().take(BIG).collect();
        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        let outcome = pull.clone().path("/echo").post(body.clone()).send()?;
        ensure!(outcome.served() && outcome.body() == body, "{outcome}");
        let outcome = pull.path(&format!("/bytes/{BIG}")).send()?;
        ensure!(outcome.served() && outcome.body() == body, "{outcome}");
        Ok(())
    });
}

#[test]
fn requests_on_one_connection_stay_on_one_connection() {
    on_stage(|stage| {
        let to = stage.lab.origin_at(IpVersion::V6, 443);
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        let mut session = client.open(stage.lab.edge(), to, "example.com")?;
        for path in ["/one", "/two", "/three"] {
            let expected = format!("the upstream answers {path}\n");
            ensure!(client::get(&mut session, path)? == expected.as_bytes());
        }
        ensure!(stage.upstream.count()? == 1);
        Ok(())
    });
}

#[test]
fn a_peer_that_has_closed_its_sending_direction_gets_the_late_response() {
    on_stage(|stage| {
        let mut session = stage.connect()?;
        session.write_all(b"POST /late HTTP/1.1\r\nHost: example.com\r\n\r\n")?;
        session.write_all(&[b'x'; 10_000])?;
        client::finish_sending(&mut session)?;
        let answer = String::from_utf8(client::read_to_end(&mut session)?)?;
        ensure!(answer.contains("10000 bytes came"), "{answer}");
        Ok(())
    });
}

#[test]
fn when_the_upstream_closes_the_peer_gets_a_clean_close() {
    on_stage(|stage| {
        let mut session = stage.connect()?;
        session.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")?;
        // rustls reports an error for a close without close_notify.
        let answer = client::read_to_end(&mut session)?;
        ensure!(answer.ends_with(b"the upstream answers /\n"));
        Ok(())
    });
}

#[test]
fn while_the_upstream_is_down_pulls_are_refused_and_counted() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        stage.upstream.stop();
        let before = stage.daemon.status()?.refused("upstream_unreachable")?;
        Pull::by_edge(&stage.lab, IpVersion::V4).must_be_refused()?;
        let now = stage.daemon.status()?.refused("upstream_unreachable")?;
        ensure!(now == before + 1, "{now}");
        stage.upstream = TestUpstream::start(&stage.lab)?;
        stage.edge_is_served()
    });
}
