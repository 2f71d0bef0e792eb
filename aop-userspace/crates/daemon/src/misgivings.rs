//! Why enforcing now would cut real pulls, as far as what was observed tells. Few reasons, each of which
//! an operator would want to know before: who is sure says so.

use std::{net::IpAddr, time::Duration};

use aop_api::Status;
use aop_common::Standing;
use aop_types::monotonic_seconds;
use jiff::Timestamp;

use super::Daemon;

mod sites;

/// Who has authenticated within so long is expected again.
const LATELY: Duration = Duration::from_secs(24 * 3600);
/// Addresses that are named.
const NAMED: usize = 5;

/// What was observed.
#[derive(Clone, Debug, Default)]
struct Observed {
    /// How many prefixes are admitted.
    admitted: usize,
    /// For how many hours the list was not confirmed, where that is too long.
    list_hours: Option<u64>,
    /// Whether listeners serve, and nobody is known to have authenticated, now or before.
    nobody_pulls: bool,
    /// Who has authenticated, when last, and would be dropped.
    outsiders: Vec<(IpAddr, Timestamp)>,
}

impl Daemon {
    /// The reasons not to enforce now.
    pub(super) fn misgivings(&self) -> Vec<String> {
        let status = self.status();
        let observed = {
            let in_force = self.in_force();
            let now = monotonic_seconds();
            // Strangers who prove themselves are let in.
            let proven = in_force.live.probation > 0;
            // What comes from this host itself passes no packet path.
            let out = |address: IpAddr| {
                let stands = in_force.admission.standing(address, now);
                stands == Standing::Unknown && !address.is_loopback()
            };
            let peers = status.peers.iter().filter(|peer| !proven && out(peer.address));
            Observed {
                admitted: status.prefixes.v4 + status.prefixes.v6,
                list_hours: in_force.stale_hours(),
                nobody_pulls: nobody_pulls(&status),
                outsiders: peers.map(|peer| (peer.address, peer.last_seen)).collect(),
            }
        };
        reasons(&observed, Timestamp::now())
    }

    /// The reasons why these sites are better not to refuse now.
    pub(super) fn misgivings_about(&self, sites: &[String]) -> Vec<String> {
        let (status, now) = (self.status(), Timestamp::now());
        sites.iter().flat_map(|site| sites::reasons(&status, site, now)).collect()
    }
}

/// A terminator that does not answer is no reason to think so.
fn nobody_pulls(status: &Status) -> bool {
    let serves = status.terminator.as_ref().is_some_and(|terminator| terminator.answers);
    serves && !status.is_pulled(None)
}

fn reasons(observed: &Observed, now: Timestamp) -> Vec<String> {
    let Observed { admitted, list_hours, nobody_pulls, outsiders } = observed;
    let mut reasons = Vec::new();
    let lately = |seen: &Timestamp| now.duration_since(*seen).unsigned_abs() <= LATELY;
    let mut cut: Vec<IpAddr> =
        outsiders.iter().filter(|(_, seen)| lately(seen)).map(|(address, _)| *address).collect();
    if !cut.is_empty() {
        let count = cut.len();
        let more =
            if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
        cut.truncate(NAMED);
        let named: Vec<String> = cut.iter().map(ToString::to_string).collect();
        reasons.push(format!(
            "{}{more} authenticated within the last 24 hours, and no prefix admits them: they would \
             be dropped (see `aop explain {}`; add them to firewall.extra, or refresh the list)",
            named.join(", "),
            named.first().map_or("", String::as_str)
        ));
    }
    if *admitted == 0 {
        reasons.push(
            "no prefix is admitted: everybody would be dropped (see `aop prefixes refresh`)"
                .to_owned(),
        );
    } else if let Some(hours) = list_hours {
        reasons.push(format!(
            "the prefix list was not confirmed for {hours} h: edges in newer prefixes would be \
             dropped (see `aop prefixes refresh`)"
        ));
    }
    if *nobody_pulls {
        reasons.push(
            "listeners serve, and nobody has authenticated yet: nothing tells that the CDN's pulls \
             would pass (see `aop status`)"
                .to_owned(),
        );
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn fine() -> Observed {
        Observed { admitted: 22, ..Observed::default() }
    }

    #[test]
    fn what_was_observed_well_is_no_reason() {
        assert_eq!(reasons(&fine(), at(0)), Vec::<String>::new());
    }

    #[test]
    fn who_authenticated_lately_and_is_not_admitted_is_named() {
        let peer = |last: u8, seen| (IpAddr::from([192, 0, 2, last]), at(seen));
        let outsiders = vec![peer(1, DAY), peer(2, 2 * DAY), peer(3, DAY - 1)];
        let told = reasons(&Observed { outsiders, ..fine() }, at(2 * DAY));
        let [told] = &told[..] else { panic!("{told:?}") };
        assert!(told.starts_with("192.0.2.1, 192.0.2.2 authenticated"), "{told}");
        let outsiders = (0..9).map(|last| peer(last, DAY)).collect();
        let told = reasons(&Observed { outsiders, ..fine() }, at(DAY));
        assert!(told[0].contains("192.0.2.4 and 4 more"), "{told:?}");
        let outsiders = vec![peer(1, 0)];
        assert!(reasons(&Observed { outsiders, ..fine() }, at(DAY + 1)).is_empty());
    }

    #[test]
    fn a_list_that_is_empty_or_old_and_silence_are_reasons() {
        let told = |observed| reasons(&observed, at(0)).join("\n");
        let empty = told(Observed { admitted: 0, list_hours: Some(90), ..fine() });
        assert!(empty.contains("no prefix is admitted") && !empty.contains("90 h"), "{empty}");
        assert!(told(Observed { list_hours: Some(90), ..fine() }).contains("for 90 h"));
        assert!(
            told(Observed { nobody_pulls: true, ..fine() }).contains("nobody has authenticated")
        );
    }
}
