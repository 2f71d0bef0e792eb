//! Whether the packet program runs on the packets that its interface receives. A driver may accept
//! a native program and run it on no packet; then all packets pass, and no counter shows it.

use std::{thread, time::Duration};

use aop_api::VisitorError;
use aop_firewall::PacketCounts;

use crate::doctor::{
    HostContext,
    finding::{CheckFinding, untried, wrong},
};

/// The packets after which a program that has seen none is suspected.
const ENOUGH: u64 = 10;
/// Some drivers report their count only every two seconds.
const SECOND_LOOK: Duration = Duration::from_secs(3);

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let now = || aop_firewall::packet_counts(&host.paths.pins);
    let found = now().and_then(|at_first| {
        if unjudged(&host.packet_counts, &at_first).is_empty() {
            return Ok(Vec::new());
        }
        // Packets from before the first reading may have been reported late.
        thread::sleep(SECOND_LOOK);
        Ok(unjudged(&at_first, &now()?))
    });
    match found {
        Ok(found) => found.iter().map(|(name, received)| finding(name, *received)).collect(),
        Err(error) => vec![untried("program_runs", error.to_string())],
    }
}

fn finding(interface: &str, received: u64) -> CheckFinding {
    wrong(
        "program_runs",
        "the packet program is attached and its driver runs it on no packet: everybody gets through",
        VisitorError::Nothing,
        "set firewall.attach = \"generic\", then `systemctl restart aop`, and report the driver \
         (`ethtool -i NAME`)",
    )
    .about(interface)
    .seen(format!("received {received} packets, and judged none of them"))
}

/// The interfaces that received packets between two readings of which the program saw none, with
/// their number.
fn unjudged(earlier: &[PacketCounts], later: &[PacketCounts]) -> Vec<(String, u64)> {
    let grown = later.iter().filter_map(|now| {
        let then = earlier.iter().find(|then| then.interface == now.interface)?;
        let received = now.received.checked_sub(then.received)?;
        (received >= ENOUGH && now.judged == then.judged).then(|| (now.interface.clone(), received))
    });
    grown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(interface: &str, received: u64, judged: u64) -> PacketCounts {
        PacketCounts { interface: interface.to_owned(), received, judged }
    }

    #[test]
    fn a_program_is_suspected_if_it_saw_none_of_many_packets() {
        let earlier = [counts("eth0", 100, 7), counts("eth1", 100, 7), counts("eth2", 100, 7)];
        let later = [
            counts("eth0", 100 + ENOUGH, 7),
            counts("eth1", 100 + ENOUGH, 8),
            counts("eth2", 99 + ENOUGH, 7),
            counts("eth3", 1000, 0),
        ];
        assert_eq!(unjudged(&earlier, &later), [("eth0".to_owned(), ENOUGH)]);
    }

    #[test]
    fn an_interface_that_was_made_anew_is_not_suspected() {
        assert_eq!(unjudged(&[counts("eth0", 100, 7)], &[counts("eth0", 50, 7)]), []);
    }
}
