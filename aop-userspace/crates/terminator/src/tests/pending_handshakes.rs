//! Floods of peers that do not authenticate, and a good peer beside them.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use aop_config::Limits;
use aop_tls::{Refusal, testing::connect_over};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::rig::{Rig, RigConfig, SITE, exchange};
use crate::CountersSnapshot;

const FLOOD: usize = 5000;
const LIMITS: Limits =
    Limits { connections: 100, handshakes: 1024, per_peer: 256, workers: Some(2) };

/// Connections from `sources` in turn. Every other one sends the start of a ClientHello, then
/// nothing.
async fn flood(to: SocketAddr, sources: &[&str]) -> Vec<TcpStream> {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let mut flood = Vec::new();
    for number in 0..FLOOD {
        let source: IpAddr = sources[number % sources.len()].parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source, 0)).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        if number % 2 == 0 {
            // Fails if the connection was evicted already.
            stream.write_all(b"\x16\x03\x01\x02\x00").await.ok();
        }
        flood.push(stream);
    }
    flood
}

fn refused(counters: &CountersSnapshot, refusal: Refusal) -> u64 {
    counters.refused.iter().filter(|of| of.refusal == refusal).map(|of| of.count).sum()
}

async fn a_good_one_is_served_at_once(sources: &[&str], expected: [u64; 2]) {
    let config =
        RigConfig { limits: LIMITS, deadline: Duration::from_secs(120), ..RigConfig::default() };
    let rig = Rig::with(config).await;
    let held = flood(rig.address, sources).await;
    let edge = rig.edge();
    // Far below the deadline, for which a peer without a slot would wait.
    timeout(Duration::from_secs(20), rig.serve(&edge, SITE))
        .await
        .expect("the good peer had to wait");
    let reasons = [Refusal::TooMany, Refusal::CrowdedOut];
    rig.counters_when(|counters| reasons.map(|reason| refused(counters, reason)) == expected).await;
    let counters = rig.counters();
    assert_eq!(
        (counters.accepted, counters.refused.len()),
        (1, expected.iter().filter(|n| **n > 0).count())
    );
    drop(held);
}

#[tokio::test]
async fn a_flood_of_silent_peers_from_the_same_address_does_not_delay_a_good_peer() {
    // All but 256 are evicted, the last one by the good peer.
    a_good_one_is_served_at_once(&["127.0.0.1"], [FLOOD as u64 - 255, 0]).await;
}

#[tokio::test]
async fn a_flood_of_silent_peers_from_many_addresses_does_not_delay_a_good_peer() {
    let names: Vec<String> = (2..52).map(|number| format!("127.0.0.{number}")).collect();
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    // No address has more than a hundred. All but 1,024 are evicted, and one more by the good peer.
    a_good_one_is_served_at_once(&sources, [0, FLOOD as u64 - 1023]).await;
}

#[tokio::test]
async fn silent_peers_take_no_slot() {
    let limits = Limits { connections: 1, handshakes: 4, per_peer: 4, workers: Some(2) };
    let rig = Rig::with(RigConfig { limits, ..RigConfig::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(rig.address).await.unwrap());
    }
    rig.counters_when(|counters| counters.open == 3).await;
    rig.serve(&rig.edge(), SITE).await;
    assert_eq!(rig.counters().refused, vec![]);
}

#[tokio::test]
async fn a_peer_that_authenticates_but_gets_no_slot_in_time_is_refused_and_counted() {
    let limits = Limits { connections: 1, handshakes: 4, per_peer: 4, workers: Some(2) };
    let config = RigConfig { limits, deadline: Duration::from_secs(1), ..RigConfig::default() };
    let rig = Rig::with(config).await;
    let begun = TcpStream::connect(rig.address).await.unwrap();
    rig.counters_when(|counters| counters.open == 1).await;
    let (mut peer, mut upstream) = rig.pull().await;
    let mut late = connect_over(&rig.edge(), begun, SITE).await.unwrap();
    assert_eq!(late.read(&mut [0]).await.unwrap(), 0, "the connection ends in order");
    rig.refusals_counted(SITE, Refusal::NoSlot, 1).await;
    rig.upstream_saw_nothing().await;
    exchange(&mut peer, &mut upstream).await;
}
