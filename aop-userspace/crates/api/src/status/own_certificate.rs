//! The operator's own certificates at Cloudflare, in the status document.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::{PresentedLevel, SeenIdentity, days_until, utc_text};

/// From this time before its expiry on, a certificate that was not replaced is critical.
const CRITICAL: SignedDuration = SignedDuration::from_hours(10 * 24);

/// The own certificate of a site at Cloudflare, and its replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCertificate {
    /// The site.
    pub site: String,
    /// Its level: `zone` or `host`; `null` if no pass of `aop cloudflare renew` could find out.
    pub level: Option<PresentedLevel>,
    /// The expiry of the certificate that is in use; `null` if it is not known.
    pub ends: Option<Timestamp>,
    /// Whole days until then; negative after it.
    pub days_left: Option<i64>,
    /// The step of the roll that is in progress; `null` if none is.
    pub step: Option<String>,
    /// The event that this roll waits for; `null` if it waits for none.
    pub waits_for: Option<String>,
    /// The last failure; `null` if there was none since the last success.
    pub last_error: Option<String>,
    /// When that was.
    pub failed_at: Option<Timestamp>,
    /// Since when no attempt has succeeded.
    pub failing_since: Option<Timestamp>,
}

impl OwnCertificate {
    /// The failure of its renewal as a warning.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let Self { site, last_error, failing_since, .. } = self;
        let error = last_error.as_ref()?;
        let since =
            failing_since.map_or(String::new(), |since| format!(" since {}", utc_text(since)));
        Some(format!("site {site}: the renewal at Cloudflare fails{since}: {error}"))
    }

    /// Why the site will soon be served no more, or is not already.
    #[must_use]
    pub fn critical(&self, now: Timestamp) -> Option<String> {
        let (site, ends) = (&self.site, self.ends?);
        let left = ends.duration_since(now);
        let replaced = match (&self.last_error, &self.step) {
            (Some(_), _) => "its renewal fails",
            (None, Some(_)) => "its successor is not in use yet",
            (None, None) => "it was not renewed",
        };
        if left <= SignedDuration::ZERO {
            Some(format!("site {site}: the certificate at Cloudflare has expired, and {replaced}"))
        } else if left < CRITICAL {
            let days = days_until(ends, now);
            let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            Some(format!(
                "site {site}: the certificate at Cloudflare ends in {days}, and {replaced}"
            ))
        } else {
            None
        }
    }
}

impl Status {
    /// For each site whose edge presents an expired certificate: the certificate that was last
    /// accepted. The expiry of that one counts, since strangers may present any expired one.
    pub(super) fn expired_arrivals(&self, now: Timestamp) -> Vec<&SeenIdentity> {
        let handshakes = &self.handshakes;
        let lasts = self.identities.iter().filter(|identity| {
            let of_site = self.identities.iter().filter(|it| it.site == identity.site);
            of_site.max_by_key(|it| it.last_seen) == Some(identity)
        });
        let is_refused = |it: &&SeenIdentity| {
            handshakes
                .refused_from_admitted
                .iter()
                .any(|refused| refused.site == it.site && refused.reason == "expired")
        };
        lasts.filter(|it| it.not_after <= now).filter(is_refused).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HealthLevel, IdentityLevel, RefusalCount, timestamp};

    const NOW: u64 = 100 * 86_400;

    fn certificate(days: i64) -> OwnCertificate {
        let now = timestamp(NOW);
        let ends = now + SignedDuration::from_hours(24 * days) + SignedDuration::from_mins(1);
        OwnCertificate {
            site: "example.com".into(),
            level: Some(PresentedLevel::Zone),
            ends: Some(ends),
            days_left: Some(days_until(ends, now)),
            step: None,
            waits_for: None,
            last_error: None,
            failed_at: None,
            failing_since: None,
        }
    }

    fn failing(days: i64) -> OwnCertificate {
        OwnCertificate {
            last_error: Some("the token is not valid".into()),
            failing_since: Some(timestamp(NOW - 60)),
            ..certificate(days)
        }
    }

    /// A verdict on nothing but this certificate: no daemon answers, which is one failure.
    fn failures(certificate: OwnCertificate) -> Vec<String> {
        let status = Status { cloudflare: vec![certificate], ..Status::nothing() };
        let health = status.health(timestamp(NOW));
        assert_eq!(health.level(), HealthLevel::Critical);
        health.failures().iter().filter(|it| it.starts_with("site ")).cloned().collect()
    }

    #[test]
    fn a_failing_renewal_warns_from_the_first_day_and_is_critical_from_ten_days_on() {
        let said = failing(30).failure().expect("a warning");
        let wanted = "site example.com: the renewal at Cloudflare fails since 1970-04-10 23:59 \
                      UTC: the token is not valid";
        assert_eq!(said, wanted);
        assert_eq!(failures(failing(10)), [] as [String; 0]);
        let nine = "site example.com: the certificate at Cloudflare ends in 9 days, and its \
                    renewal fails";
        assert_eq!(failures(failing(9)), [nine]);
        let over = "site example.com: the certificate at Cloudflare has expired, and its renewal \
                    fails";
        assert_eq!(failures(failing(-1)), [over]);
        let status = Status { cloudflare: vec![failing(30)], ..Status::nothing() };
        assert_eq!(status.health(timestamp(NOW)).warnings(), [wanted.to_owned()]);
    }

    #[test]
    fn a_roll_that_waits_and_a_certificate_that_nobody_renews_are_critical_as_well() {
        let waiting = OwnCertificate { step: Some("deployed".into()), ..certificate(1) };
        assert_eq!(waiting.failure(), None);
        let said = failures(waiting).join("");
        assert!(said.ends_with("ends in 1 day, and its successor is not in use yet"), "{said}");
        let said = failures(certificate(2)).join("");
        assert!(said.ends_with("ends in 2 days, and it was not renewed"), "{said}");
        assert_eq!(failures(certificate(11)), [] as [String; 0]);
        let unknown = OwnCertificate { ends: None, ..failing(0) };
        assert_eq!(failures(unknown), [] as [String; 0]);
    }

    #[test]
    fn an_expired_certificate_that_arrives_is_critical_until_another_one_is_accepted() {
        let identity = |not_after: u64, last_seen: u64| SeenIdentity {
            site: "example.com".into(),
            subject: "CN=pulls".into(),
            issuer: String::new(),
            spki_sha256: String::new(),
            serial: not_after.to_string(),
            not_before: timestamp(1),
            not_after: timestamp(not_after),
            level: IdentityLevel::Own,
            client_ca: None,
            first_seen: timestamp(1),
            last_seen: timestamp(last_seen),
            pulls: 1,
            roll: None,
        };
        let expired =
            RefusalCount { site: "example.com".into(), reason: "expired".into(), count: 3 };
        let verdict = |identities: &[SeenIdentity], refused: &[RefusalCount]| {
            let mut status = Status { identities: identities.to_vec(), ..Status::nothing() };
            status.handshakes.refused_from_admitted = refused.to_vec();
            let health = status.health(timestamp(NOW));
            health.failures().iter().any(|it| it.contains("has expired: CN=pulls"))
        };
        let (old, new) = (identity(NOW - 5, NOW - 6), identity(NOW + 99, NOW - 7));
        let refused = [expired];
        assert!(verdict(&[new.clone(), old.clone()], &refused));
        assert!(!verdict(std::slice::from_ref(&old), &[]), "nothing is refused");
        let newer = SeenIdentity { last_seen: timestamp(NOW), ..new };
        assert!(!verdict(&[newer, old], &refused), "a newer one is accepted");
    }
}
