//! The verdict on a status: whether all is well, and if not, what is wrong. `aop status` shows it,
//! and `aop status --check` has an exit code for each level.

use jiff::Timestamp;

use super::{Expiry, ExpiryKind, InterfaceState, OwnCertificate, Status, UpstreamReport};
use crate::{ModeName, Opening, PendingMode, ReloadOutcome, SeenIdentity};

/// The verdict on a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Why visitors are not served, or packets are not filtered. Each is short.
    failures: Vec<String>,
    /// Notes for the operator.
    notes: Vec<String>,
}

/// The levels of a verdict, as Nagios has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthLevel {
    /// Nothing is to be done.
    Ok,
    /// aop serves and guards, and there are warnings.
    Warning,
    /// Visitors are not served, or packets are not filtered.
    Critical,
}

impl HealthLevel {
    /// Its name, as plugins of Nagios print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

impl Health {
    /// The level.
    #[must_use]
    pub fn level(&self) -> HealthLevel {
        match (self.failures.is_empty(), self.notes.is_empty()) {
            (false, _) => HealthLevel::Critical,
            (true, false) => HealthLevel::Warning,
            (true, true) => HealthLevel::Ok,
        }
    }

    /// Why visitors are not served, or packets are not filtered.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The warnings, each once.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.notes
    }
}

impl Status {
    /// The verdict at `now`.
    #[must_use]
    pub fn health(&self, now: Timestamp) -> Health {
        let mut failures = Vec::new();
        if self.daemon.is_none() {
            failures.push("aop does not answer".to_owned());
        }
        failures.extend(self.unguarded());
        if self.terminator.as_ref().is_some_and(|terminator| !terminator.answers) {
            failures.push("the terminator does not answer".to_owned());
        }
        failures.extend(self.ends.iter().filter_map(|expiry| self.expired(expiry, now)));
        let upstreams = self.upstreams.iter().filter(|it| it.good == Some(false));
        failures.extend(upstreams.map(|UpstreamReport { site, .. }| {
            format!("site {site}: its upstream fails its check")
        }));
        failures.extend(self.cloudflare.iter().filter_map(|it| it.critical(now)));
        let arrivals = self.expired_arrivals(now).into_iter();
        failures.extend(arrivals.map(|SeenIdentity { site, subject, .. }| {
            format!(
                "site {site}: the client certificate that the edge presents has expired: {subject}"
            )
        }));
        Health { failures, notes: self.notes(now) }
    }

    /// Each interface on which packets pass unfiltered although they should not.
    fn unguarded(&self) -> Vec<String> {
        if self.mode == ModeName::Off {
            return Vec::new();
        }
        if !self.interfaces.iter().any(|it| it.attached) {
            return vec!["packets are not filtered".to_owned()];
        }
        // One that does not exist has no packets.
        let open =
            self.interfaces.iter().filter(|it| !it.attached && it.state != InterfaceState::Missing);
        open.map(|it| format!("packets on {} are not filtered", it.name)).collect()
    }

    /// Why nobody is served because of this expiry. An expired client CA beside a valid one of the
    /// same site is left to the warnings.
    fn expired(&self, expiry: &Expiry, now: Timestamp) -> Option<String> {
        if expiry.not_after > now {
            return None;
        }
        let Expiry { what, site, file, .. } = expiry;
        let replaced = self
            .ends
            .iter()
            .any(|other| other.what == *what && other.site == *site && other.not_after > now);
        let what = match what {
            ExpiryKind::ServerCertificate => "the server certificate",
            ExpiryKind::ClientCa if replaced => return None,
            ExpiryKind::ClientCa => "the client CA",
            ExpiryKind::Crl => "the revocation list",
            // Everybody is served without a fleet.
            ExpiryKind::FleetCertificate | ExpiryKind::FleetCa => return None,
            ExpiryKind::Unknown(other) => other,
        };
        Some(format!("site {site}: {what} {file} has expired"))
    }

    fn notes(&self, now: Timestamp) -> Vec<String> {
        let mut notes: Vec<String> = self.openings.iter().map(Opening::line).collect();
        notes.extend(self.modes.pending.iter().map(PendingMode::line));
        notes.extend(self.last_crash.iter().filter(|it| it.is_recent(now)).map(|it| it.line(now)));
        let refused = self.last_reload.iter().filter(|it| it.outcome == ReloadOutcome::Refused);
        notes.extend(refused.map(|it| {
            let why = it.error.as_deref().unwrap_or("no reason given");
            format!("the last reload was refused, and the old configuration stays: {why}")
        }));
        notes.extend(self.cloudflare.iter().filter_map(OwnCertificate::failure));
        notes.extend(self.warnings.iter().cloned());
        let mut seen = std::collections::HashSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DaemonReport, InterfaceStatus, SandboxReport, TerminatorReport, timestamp};

    const NOW: u64 = 1_000_000;

    fn healthy() -> Status {
        let interface = |name: &str| InterfaceStatus {
            name: name.into(),
            attach: Some("native".into()),
            state: "attached".into(),
            attached: true,
            enforcing: true,
        };
        let daemon =
            DaemonReport { pid: 7, uptime_seconds: 5, open_connections: 0, config_changed: None };
        let terminator = TerminatorReport {
            pid: 8,
            user: "nobody".into(),
            answers: true,
            confinement: SandboxReport::default(),
        };
        Status {
            daemon: Some(daemon),
            terminator: Some(terminator),
            mode: ModeName::Enforce,
            interfaces: vec![interface("eth0"), interface("eth1")],
            ..Status::nothing()
        }
    }

    fn verdict(change: impl FnOnce(&mut Status)) -> Health {
        let mut status = healthy();
        change(&mut status);
        status.health(timestamp(NOW))
    }

    fn ends(kind: &str, at: u64) -> Expiry {
        Expiry {
            what: kind.into(),
            site: "example.com".into(),
            subject: "CN=x".into(),
            file: "x.pem".into(),
            not_after: timestamp(at),
        }
    }

    #[test]
    fn a_healthy_status_is_ok_and_a_warning_is_a_warning() {
        let health = verdict(|status| status.ends.push(ends("server_certificate", NOW + 1)));
        assert_eq!(health.level(), HealthLevel::Ok);
        let health = verdict(|status| status.warnings = vec!["one".into(), "one".into()]);
        assert_eq!(
            (health.level(), health.warnings()),
            (HealthLevel::Warning, &["one".into()][..])
        );
    }

    #[test]
    fn whatever_stops_serving_or_guarding_is_critical() {
        let is_critical = |wanted: &str, change: fn(&mut Status)| {
            let health = verdict(change);
            assert_eq!(health.level(), HealthLevel::Critical, "{wanted}");
            assert_eq!(health.failures(), [wanted.to_owned()]);
        };
        is_critical("aop does not answer", |status| status.daemon = None);
        is_critical("packets are not filtered", |status| status.interfaces.clear());
        is_critical("packets on eth1 are not filtered", |status| {
            status.interfaces[1].attached = false;
            status.interfaces[1].state = InterfaceState::Foreign;
        });
        is_critical("the terminator does not answer", |status| {
            status.terminator.as_mut().expect("one").answers = false;
        });
        is_critical("site example.com: the server certificate x.pem has expired", |status| {
            status.ends.push(ends("server_certificate", NOW));
        });
        is_critical("site example.com: its upstream fails its check", |status| {
            status.upstreams.push(UpstreamReport {
                site: "example.com".into(),
                upstream: "tcp://127.0.0.1:8080".into(),
                good: Some(false),
                error: None,
            });
        });
    }

    #[test]
    fn a_firewall_that_is_off_and_a_missing_interface_are_not_critical() {
        let off = verdict(|status| {
            status.mode = ModeName::Off;
            status.interfaces.clear();
        });
        assert_eq!(off.level(), HealthLevel::Ok);
        let missing = verdict(|status| {
            status.interfaces[1].attached = false;
            status.interfaces[1].state = InterfaceState::Missing;
        });
        assert_eq!(missing.failures(), [] as [String; 0]);
    }

    #[test]
    fn an_expired_client_ca_is_critical_unless_the_site_has_another() {
        for of_fleet in ["fleet_certificate", "fleet_ca"] {
            let served = verdict(|status| status.ends.push(ends(of_fleet, 5)));
            assert_eq!(served.failures, Vec::<String>::new());
        }
        let old = verdict(|status| status.ends.push(ends("client_ca", 5)));
        assert_eq!(old.level(), HealthLevel::Critical);
        let rolled = verdict(|status| {
            status.ends = vec![ends("client_ca", 5), ends("client_ca", NOW + 5)];
        });
        assert_eq!(rolled.level(), HealthLevel::Ok);
    }
}
