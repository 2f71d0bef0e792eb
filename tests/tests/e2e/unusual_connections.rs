//! Unusual connections to the TLS port: other protocols, invalid bytes, a ClientHello in single
//! bytes, silent peers, and session resumption.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::{AopToml, IpVersion, Lab, Pull, wait};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

/// Sends `bytes`, and returns everything that comes until the peer closes.
fn send(stage: &Stage, bytes: &[u8]) -> Result<Vec<u8>> {
    let to = stage.lab.origin_at(IpVersion::V4, 443);
    let mut stream = client::connect(stage.lab.edge(), to)?;
    stream.write_all(bytes)?;
    client::read_to_end(&stream)
}

#[test]
fn plain_http_is_refused_and_counted_as_not_tls() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let before = stage.snapshot()?;
        let outcome = Pull::by_edge(&stage.lab, IpVersion::V4).plain().send()?;
        ensure!(!outcome.served() && !outcome.silent(), "{outcome}");
        stage.counts_refused(&before, "not_tls", 1)
    });
}

#[test]
fn invalid_bytes_are_refused_and_counted_as_bad_hello() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let truncated_hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
        let no_hello_at_all = b"\x16\x03\x01\x00\x04\x02\x00\x00\x00";
        let cases: [&[u8]; 4] =
            [b"SSH-2.0-OpenSSH_9.2\r\n", &[0xff; 600], truncated_hello, no_hello_at_all];
        for bytes in cases {
            let before = stage.snapshot()?;
            send(stage, bytes)?;
            stage.counts_refused(&before, "bad_hello", 1)?;
        }
        Ok(())
    });
}

#[test]
fn a_client_hello_in_single_bytes_is_accepted() {
    on_stage(|stage| {
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        let mut stream = client::connect(stage.lab.edge(), to)?;
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        let mut tls = client.begin("example.com")?;
        let mut hello = Vec::new();
        tls.write_tls(&mut hello)?;
        ensure!(hello.len() > 1200, "no post-quantum share: {} bytes", hello.len());
        for byte in hello.chunks(1) {
            stream.write_all(byte)?;
        }
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        let mut session = rustls::StreamOwned::new(tls, stream);
        ensure!(client::get(&mut session, "/")? == b"the upstream answers /\n");
        Ok(())
    });
}

#[test]
fn silent_peers_are_closed_at_the_deadline_and_delay_no_other_peer() {
    on_changed_stage(
        |config, _| config.deadline = "2s",
        |stage| {
            let before = stage.snapshot()?;
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let start = Instant::now();
            let silent: Vec<_> =
                (0..100).map(|_| client::connect(stage.lab.edge(), to)).collect::<Result<_>>()?;
            let pulled = Instant::now();
            stage.edge_is_served()?;
            ensure!(pulled.elapsed() < Duration::from_secs(1), "held up: {:?}", pulled.elapsed());
            for stream in &silent {
                client::read_to_end(stream)?;
            }
            ensure!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
            let expected = before.status().refused("deadline")? + 100;
            wait::until("all are counted", SOON, || {
                let status = stage.daemon.status().ok()?;
                (status.refused("deadline").ok()? == expected).then_some(())
            })
        },
    );
}

#[test]
fn when_all_slots_are_taken_a_peer_waits_and_is_then_served() {
    let few = |config: &mut AopToml, _: &Lab| {
        config.deadline = "2s";
        config.connections = 4;
    };
    on_changed_stage(few, |stage| {
        stage.edge_is_served()?;
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        // A connection that does not authenticate takes no slot.
        let silent: Vec<_> =
            (0..4).map(|_| client::connect(stage.lab.edge(), to)).collect::<Result<_>>()?;
        stage.edge_is_served()?;
        drop(silent);
        let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
        let served = stage.daemon.status()?.accepted()?;
        let pull = |_| client.open(stage.lab.edge(), to, "example.com");
        let held: Vec<_> = (0..4).map(pull).collect::<Result<_>>()?;
        wait::until("four are open", SOON, || {
            (stage.daemon.status().ok()?.accepted().ok()? == served + 4).then_some(())
        })?;
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(1500));
                drop(held);
            });
            stage.edge_is_served()
        })?;
        ensure!(
            start.elapsed() > Duration::from_millis(1000),
            "a fifth connection got one of four slots"
        );
        Ok(())
    });
}

#[test]
fn single_bytes_do_not_extend_the_deadline() {
    on_changed_stage(
        |config, _| config.deadline = "2s",
        |stage| {
            stage.edge_is_served()?;
            let before = stage.snapshot()?;
            let to = stage.lab.origin_at(IpVersion::V4, 443);
            let mut stream = client::connect(stage.lab.edge(), to)?;
            let client = TlsClient::new(&stage.lab.pki, &stage.lab.pki.edge)?;
            let mut hello = Vec::new();
            client.begin("example.com")?.write_tls(&mut hello)?;
            let start = Instant::now();
            for byte in hello.chunks(1) {
                std::thread::sleep(Duration::from_millis(100));
                if stream.write_all(byte).is_err() || start.elapsed() > Duration::from_secs(10) {
                    break;
                }
            }
            ensure!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
            stage.counts_refused(&before, "deadline", 1)
        },
    );
}

#[test]
fn by_default_no_session_is_resumed() {
    on_stage(|stage| {
        let to = stage.lab.origin_at(IpVersion::V4, 443);
        for version in [&TLS12, &TLS13] {
            let client = TlsClient::of_versions(&stage.lab.pki, &stage.lab.pki.edge, &[version])?;
            for _ in 0..2 {
                let mut session = client.open(stage.lab.edge(), to, "example.com")?;
                // Tickets of TLS 1.3 would come with the first response.
                client::get(&mut session, "/")?;
                let kind = session.conn.handshake_kind();
                ensure!(kind != Some(HandshakeKind::Resumed), "{version:?}: {kind:?}");
            }
        }
        Ok(())
    });
}
