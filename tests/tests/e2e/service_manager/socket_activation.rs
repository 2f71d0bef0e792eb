//! Socket activation: the service manager holds the sockets, and connections wait in them during a
//! restart.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, TlsClient};
use aop_tests::{AopToml, IpVersion, Lab, Pull, TestDaemon, TestUpstream};
use socket2::{Domain, Socket, Type};

use crate::stage::{SOON, in_lab, on_stage, refuses_to_start};

fn listener(lab: &Lab, address: &str) -> Result<TcpListener> {
    Ok(lab.origin().inside(|| TcpListener::bind(address))??)
}

/// A socket as systemd creates it for `ListenStream=443`.
fn dual_stack(lab: &Lab) -> Result<OwnedFd> {
    let made = || -> std::io::Result<OwnedFd> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 443)).into())?;
        socket.listen(1)?;
        Ok(socket.into())
    };
    Ok(lab.origin().inside(made)??)
}

/// A daemon that inherits `socket` and does not run yet.
fn prepared(lab: &Lab, config: &AopToml, socket: impl Into<OwnedFd>) -> Result<TestDaemon> {
    let mut daemon = TestDaemon::with_config(lab, config)?;
    daemon.pass_socket(socket.into());
    Ok(daemon)
}

#[test]
fn connections_during_a_restart_wait_and_are_served() {
    in_lab(|lab| {
        let _upstream = TestUpstream::start(lab)?;
        // The daemon binds the address of the other IP version as usual.
        let mut daemon = prepared(lab, &AopToml::new(lab), listener(lab, "0.0.0.0:443")?)?;
        daemon.run()?;
        for family in IpVersion::BOTH {
            Pull::by_edge(lab, family).must_be_served()?;
        }
        daemon.stop()?;
        let outcome = Pull::by_edge(lab, IpVersion::V6).send()?;
        ensure!(!outcome.served(), "the socket that aop bound is left: {outcome}");

        let client = TlsClient::new(&lab.pki, &lab.pki.edge)?;
        let (edge, to) = (lab.edge().clone(), lab.origin_at(IpVersion::V4, 443));
        let waiting: Vec<_> = (0..20)
            .map(|_| client::connect(&edge, to))
            .collect::<Result<_>>()
            .context("refused")?;
        daemon.run()?;
        for (number, mut stream) in waiting.into_iter().enumerate() {
            let mut tls = client.begin("example.com")?;
            while tls.is_handshaking() {
                tls.complete_io(&mut stream).with_context(|| format!("connection {number}"))?;
            }
            let mut session = rustls::StreamOwned::new(tls, stream);
            client::get(&mut session, "/").with_context(|| format!("connection {number}"))?;
        }
        Ok(())
    });
}

#[test]
fn an_upgrade_passes_the_socket_of_the_service_manager_on() {
    in_lab(|lab| {
        let _upstream = TestUpstream::start(lab)?;
        let config = AopToml { bind: vec!["0.0.0.0:443".into()], ..AopToml::new(lab) };
        let mut daemon = prepared(lab, &config, listener(lab, "0.0.0.0:443")?)?;
        daemon.run()?;
        daemon.upgrade()?;
        ensure!(daemon.wait(SOON)? == 0, "{}", daemon.log());
        Pull::by_edge(lab, IpVersion::V4).must_be_served()?;
        Ok(())
    });
}

#[test]
fn a_socket_that_fits_no_listener_is_named() {
    in_lab(|lab| {
        let datagrams = lab.origin().inside(|| UdpSocket::bind("0.0.0.0:443"))??;
        let cases: [(OwnedFd, &str); 3] = [
            (listener(lab, "0.0.0.0:8443")?.into(), "0.0.0.0:8443, which no [[listener]] binds"),
            (datagrams.into(), "no listening TCP socket"),
            (dual_stack(lab)?, "BindIPv6Only=ipv6-only"),
        ];
        for (socket, told) in cases {
            let mut daemon = prepared(lab, &AopToml::new(lab), socket)?;
            refuses_to_start(lab, &mut daemon, &["descriptor 3 (\"web\")", told])?;
        }
        Ok(())
    });
}

#[test]
fn variables_for_another_process_are_ignored() {
    on_stage(|stage| {
        stage.daemon.kill();
        for (name, value) in [("LISTEN_PID", "1"), ("LISTEN_FDS", "3")] {
            stage.daemon.set_env(name, value);
        }
        stage.daemon.run()?;
        stage.edge_is_served()?;
        stage.daemon.kill();
        stage.daemon.set_env("LISTEN_PID", "x");
        let (code, log) = stage.daemon.run_to_end()?;
        ensure!(code == 1 && log.contains("LISTEN_PID or LISTEN_FDS"), "{code}: {log}");
        Ok(())
    });
}
