//! The hosts on which an order changes something, among those that it means: their reports tell. A
//! host that is left out and takes the order all the same changes nothing either: it decides for
//! itself, as in `aop mode`.

use aop_api::{ModeChange, ModeName, ModeTarget, OriginReport, Request};

/// The standing of a host before an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The order is for it.
    Meant,
    /// The host is as the order asks.
    AsOrdered,
    /// The host does not serve a site of the order.
    NotServing,
}

/// The standing of the host with this report. In waves a host that has the mode already is left
/// out; without waves it gets the order all the same.
pub(super) fn standing(report: &OriginReport, request: &Request, in_waves: bool) -> Standing {
    if let Request::Mode(change) = request {
        if !serves(report, &change.sites) {
            return Standing::NotServing;
        }
        if in_waves && has_mode(report, change) {
            return Standing::AsOrdered;
        }
    }
    let nothing_waits = *request == Request::Confirm && report.pending.is_none();
    if nothing_waits { Standing::AsOrdered } else { Standing::Meant }
}

/// Whether a host serves `sites`, as far as its report has room for them.
fn serves(report: &OriginReport, sites: &[String]) -> bool {
    let serves = |name: &String| report.sites.iter().any(|it| it.site == *name);
    report.more_sites > 0 || sites.iter().all(serves)
}

/// Whether a host has the modes that `change` asks for, and nothing waits there.
fn has_mode(report: &OriginReport, change: &ModeChange) -> bool {
    let ModeChange { to, ports, sites, .. } = change;
    let wanted = match to {
        ModeTarget::Enforce => ModeName::Enforce,
        ModeTarget::Observe => ModeName::Observe,
        ModeTarget::Default => return false,
    };
    // An order for a port gives it a mode of its own, which outlives changes of the general one.
    let own = |port: &u16| report.overrides.contains(&format!("port {port}: {wanted}"));
    let site = |name: &String| report.sites.iter().any(|it| it.site == *name && it.mode == wanted);
    report.pending.is_none()
        && match (ports.is_empty(), sites.is_empty()) {
            (_, false) => sites.iter().all(site),
            (false, true) => ports.iter().all(own),
            (true, true) => report.mode == wanted && report.overrides.is_empty(),
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A host that enforces and serves example.com, with a change.
    fn report(change: serde_json::Value) -> OriginReport {
        let mut report = json!({
            "name": "web-1", "instance": "1", "version": "0.1.0", "at": "2026-11-30T12:00:00Z",
            "uptime_seconds": 9, "state": "ok", "mode": "enforce", "interfaces": [], "accepted": 3,
            "list": {"source": null, "origin": null, "generation": 1, "digest": "", "v4": 1,
                     "v6": 1, "age_seconds": null},
            "sites_total": 1, "sites_enforcing": 1,
            "sites": [{"site": "example.com", "mode": "enforce", "identities": []}],
        });
        for (key, value) in change.as_object().expect("an object") {
            report[key] = value.clone();
        }
        serde_json::from_value(report).expect("a report")
    }

    fn enforce(ports: &[u16], sites: &[&str]) -> Request {
        Request::Mode(ModeChange {
            ports: ports.to_vec(),
            sites: sites.iter().map(|site| (*site).to_owned()).collect(),
            ..ModeChange::to(ModeTarget::Enforce)
        })
    }

    fn waiting() -> serde_json::Value {
        let pending = json!({
            "mode": "enforce", "ports": [], "interfaces": [], "sites": [], "pulls": null,
            "pulls_so_far": null, "reverts_to": "observe", "until": "2026-11-30T12:00:00Z",
        });
        json!({ "pending": pending })
    }

    #[test]
    fn a_host_that_has_the_mode_is_left_out_of_waves() {
        let own = json!({"mode": "observe", "overrides": ["port 443: enforce"]});
        let other = json!({"overrides": ["port 8443: observe"]});
        for (change, ports, sites, wanted) in [
            (json!({}), &[][..], &[][..], true),
            (json!({}), &[443], &[], false),
            (own.clone(), &[443], &[], true),
            (own.clone(), &[443, 8443], &[], false),
            (own, &[], &[], false),
            (other.clone(), &[8443], &[], false),
            (other, &[], &[], false),
            (json!({}), &[], &["example.com"], true),
            (waiting(), &[443], &[], false),
        ] {
            let (report, request) = (report(change), enforce(ports, sites));
            let is_as_ordered = standing(&report, &request, true) == Standing::AsOrdered;
            assert_eq!(is_as_ordered, wanted, "{report:?} {request:?}");
            assert_eq!(standing(&report, &request, false), Standing::Meant);
        }
    }

    #[test]
    fn a_host_that_does_not_serve_a_site_and_one_on_which_nothing_waits_are_left_out() {
        let request = enforce(&[], &["example.com", "example.net"]);
        assert_eq!(standing(&report(json!({})), &request, false), Standing::NotServing);
        let cut = report(json!({"more_sites": 3}));
        assert_eq!(standing(&cut, &request, false), Standing::Meant);
        let confirm = |change| standing(&report(change), &Request::Confirm, false);
        assert_eq!(confirm(json!({})), Standing::AsOrdered);
        assert_eq!(confirm(waiting()), Standing::Meant);
    }
}
