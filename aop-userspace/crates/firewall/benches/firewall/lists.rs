//! The prefix lists of the benchmarks.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use aop_common::{Mode, layout::Ports};
use aop_config::UdpPolicy;
use aop_firewall::FirewallPolicy;
use aop_packets::Scene;
use aop_prefixes as prefixes;
use aop_types::Admission;
use ipnet::IpNet;

/// How many prefixes the long list has in addition to Cloudflare's.
const EXTRA: usize = 100_000;

pub(crate) fn cloudflare() -> Vec<IpNet> {
    prefixes::snapshot().list.prefixes().to_vec()
}

/// Cloudflare's list and 100,000 other /24 networks, spread over all of IPv4. Another `salt` gives
/// other networks.
pub(crate) fn long(salt: u32) -> Vec<IpNet> {
    let list = cloudflare();
    let kept = [Scene::FIXED.v4.stranger, Scene::FIXED.v4.admitted].map(Ipv4Addr::from);
    let spread = |index: u32| (index + salt).wrapping_mul(0x9e37_79b1) & 0xffff_ff00;
    let extra = (0..u32::MAX)
        .map(|index| IpNet::new(IpAddr::V4(spread(index).into()), 24).unwrap())
        .filter(|net| !kept.iter().any(|address| net.contains(&IpAddr::V4(*address))));
    list.into_iter().chain(extra.take(EXTRA)).collect()
}

/// A policy that enforces this list on the port of the scene.
pub(crate) fn policy(list: &[IpNet]) -> FirewallPolicy {
    let mut ports = Ports::NONE;
    ports.insert(Scene::FIXED.guarded);
    let admission = Admission::default().followed_by(list, Duration::ZERO, 0);
    FirewallPolicy {
        modes: Mode::Enforce.into(),
        ports,
        admission,
        udp: UdpPolicy::Pass,
        probation: 0,
        budget: 0,
    }
}
