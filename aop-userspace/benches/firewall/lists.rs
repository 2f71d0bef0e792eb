//! The prefix lists that packets are judged by.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use aop_common::{Mode, layout::Ports};
use aop_packets::Scene;
use aop_userspace::{
    config::Udp,
    firewall::Policy,
    prefixes::{self, Admission},
};
use ipnet::IpNet;

/// Extra prefixes that a set should hold at little cost.
const EXTRA: usize = 100_000;

pub(crate) fn cloudflare() -> Vec<IpNet> {
    prefixes::snapshot().list.prefixes().to_vec()
}

/// Cloudflare's list, and a hundred thousand other networks of 256 addresses, spread over all of
/// IPv4. Another `salt`, other networks.
pub(crate) fn long(salt: u32) -> Vec<IpNet> {
    let list = cloudflare();
    let kept = [Scene::FIXED.v4.stranger, Scene::FIXED.v4.admitted].map(Ipv4Addr::from);
    let spread = |index: u32| (index + salt).wrapping_mul(0x9e37_79b1) & 0xffff_ff00;
    let extra = (0..u32::MAX)
        .map(|index| IpNet::new(IpAddr::V4(spread(index).into()), 24).unwrap())
        .filter(|net| !kept.iter().any(|address| net.contains(&IpAddr::V4(*address))));
    list.into_iter().chain(extra.take(EXTRA)).collect()
}

/// A policy that enforces this list on the scene's port.
pub(crate) fn policy(list: &[IpNet]) -> Policy {
    let mut ports = Ports::NONE;
    ports.insert(Scene::FIXED.guarded);
    let admission = Admission::default().followed_by(list, Duration::ZERO, 0);
    Policy {
        modes: Mode::Enforce.into(),
        ports,
        admission,
        udp: Udp::Pass,
        probation: 0,
        budget: 0,
    }
}
