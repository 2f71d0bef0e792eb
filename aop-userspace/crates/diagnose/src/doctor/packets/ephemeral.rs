//! Guarded ports within the ephemeral port range. An outgoing connection from such a port would
//! fail, because the firewall drops the answers.

use std::ops::RangeInclusive;

use aop_api::VisitorError;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, good, untried, wrong},
    procfs::sysctl,
};

const RANGE: &str = "net/ipv4/ip_local_port_range";
const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(range) = sysctl(RANGE).and_then(|text| range(&text)) else {
        return vec![untried("ephemeral_port", format!("/proc/sys/{RANGE} cannot be read"))];
    };
    let reserved = reserved(&sysctl(RESERVED).unwrap_or_default());
    let is_free = |port: &u16| {
        range.contains(port) && !reserved.iter().any(|reserved| reserved.contains(port))
    };
    let ports: Vec<String> =
        host.guarded_ports().iter().filter(|it| is_free(it)).map(ToString::to_string).collect();
    if ports.is_empty() {
        return vec![good(
            "ephemeral_port",
            "no outgoing connection of this host uses a guarded port",
        )];
    }
    let ports = ports.join(",");
    vec![
        wrong(
            "ephemeral_port",
            "an outgoing connection of this host may get a guarded port: the firewall would drop \
             the answers, and aop may find its port in use when it starts",
            VisitorError::Nothing,
            "reserve it now, and in /etc/sysctl.d for the next boot:",
        )
        .commands(&format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={}",
            with(&reserved, &ports)
        ))
        .about(ports)
        .seen(format!(
            "net.ipv4.ip_local_port_range is {} to {}",
            range.start(),
            range.end()
        )),
    ]
}

/// The complete setting for the cure. Ports that are already reserved stay in it.
fn with(reserved: &[RangeInclusive<u16>], ports: &str) -> String {
    let kept = reserved.iter().map(|range| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    kept.chain([ports.to_owned()]).collect::<Vec<_>>().join(",")
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_ascii_whitespace();
    Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
}

fn reserved(text: &str) -> Vec<RangeInclusive<u16>> {
    let one = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    text.trim().split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_reservations_are_read_and_kept() {
        assert_eq!(range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(reserved("8080,9000-9010\n"), [8080..=8080, 9000..=9010]);
        assert_eq!(with(&reserved("8080,9000-9010"), "40443"), "8080,9000-9010,40443");
        assert!(reserved("\n").is_empty());
    }
}
