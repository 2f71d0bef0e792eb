//! Sockets that a service manager holds: what comes meanwhile waits there.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self, Client};
use aop_tests::{Config, Daemon, Family, Pull, Upstream, World};
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};

use crate::stage::{SOON, in_a_world, on_stage, refuses_to_start};

fn listener(world: &World, address: &str) -> Result<TcpListener> {
    Ok(world.origin().inside(|| TcpListener::bind(address))??)
}

/// A socket as systemd makes it of `ListenStream=443`.
fn of_both_families(world: &World) -> Result<OwnedFd> {
    let made = || -> std::io::Result<OwnedFd> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 443)).into())?;
        socket.listen(1)?;
        Ok(socket.into())
    };
    Ok(world.origin().inside(made)??)
}

/// A daemon with `socket` handed over, not running yet.
fn prepared(world: &World, config: &Config, socket: impl Into<OwnedFd>) -> Result<Daemon> {
    let mut daemon = Daemon::prepare(world)?;
    daemon.write(&config.text())?;
    daemon.activate(socket.into());
    Ok(daemon)
}

#[test]
fn connections_that_come_during_a_restart_wait_and_are_served() {
    in_a_world(|world| {
        let _upstream = Upstream::start(world)?;
        // The other family's address is bound as ever.
        let mut daemon = prepared(world, &Config::new(world), listener(world, "0.0.0.0:443")?)?;
        daemon.run()?;
        for family in Family::BOTH {
            let outcome = Pull::by_edge(world, family).send()?;
            ensure!(outcome.served(), "{family}: {outcome}");
        }
        daemon.signal(Signal::SIGTERM)?;
        ensure!(daemon.wait(SOON)? == 0);
        let outcome = Pull::by_edge(world, Family::V6).send()?;
        ensure!(!outcome.served(), "the one that was bound is left: {outcome}");

        let client = Client::new(&world.pki, &world.pki.edge)?;
        let (edge, to) = (world.edge().clone(), world.origin_at(Family::V4, 443));
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
fn an_upgrade_hands_the_service_manager_s_socket_on() {
    in_a_world(|world| {
        let _upstream = Upstream::start(world)?;
        let config = Config { bind: vec!["0.0.0.0:443".into()], ..Config::new(world) };
        let mut daemon = prepared(world, &config, listener(world, "0.0.0.0:443")?)?;
        daemon.run()?;
        daemon.upgrade()?;
        ensure!(daemon.wait(SOON)? == 0, "{}", daemon.log());
        let outcome = Pull::by_edge(world, Family::V4).send()?;
        ensure!(outcome.served(), "{outcome}");
        Ok(())
    });
}

#[test]
fn what_no_listener_has_or_is_no_listening_socket_is_named() {
    in_a_world(|world| {
        let datagrams = world.origin().inside(|| UdpSocket::bind("0.0.0.0:443"))??;
        let cases: [(OwnedFd, &str); 3] = [
            (listener(world, "0.0.0.0:8443")?.into(), "0.0.0.0:8443, which no [[listener]] binds"),
            (datagrams.into(), "no listening TCP socket"),
            (of_both_families(world)?, "BindIPv6Only=ipv6-only"),
        ];
        for (socket, told) in cases {
            let mut daemon = prepared(world, &Config::new(world), socket)?;
            refuses_to_start(world, &mut daemon, &["descriptor 3 (\"web\")", told])?;
        }
        Ok(())
    });
}

#[test]
fn variables_that_are_meant_for_another_process_are_not_heeded() {
    on_stage(|stage| {
        stage.daemon.kill();
        for (name, value) in [("LISTEN_PID", "1"), ("LISTEN_FDS", "3")] {
            stage.daemon.tell(name, value);
        }
        stage.daemon.run()?;
        stage.edge_is_served()?;
        stage.daemon.kill();
        stage.daemon.tell("LISTEN_PID", "x");
        let (code, log) = stage.daemon.run_to_end()?;
        ensure!(code == 1 && log.contains("LISTEN_PID or LISTEN_FDS"), "{code}: {log}");
        Ok(())
    });
}
