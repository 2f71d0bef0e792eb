//! Renewals by themselves: which certificate is due, and the record of the last pass of
//! `aop cloudflare renew`. A roll has a record of its own; this one has what no roll tells: the
//! expiry of certificates that nobody rolls, and failures before a roll begins.

use std::{path::Path, time::Duration};

use aop_api::{CertificateAtCloudflare, DeploymentStatus, PresentedLevel, SiteAtCloudflare};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{CertificateLevel, RollError, RollRecord};

const NAME: &str = "cloudflare-renewal.json";

/// Cloudflare is asked once a day for each site, also if nothing is due: somebody may have replaced
/// a certificate by hand. The timer runs a pass each hour.
const ASKED_EACH: SignedDuration = SignedDuration::from_hours(23);

/// The last pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalRecord {
    /// When it ended.
    pub at: Timestamp,
    /// The sites with a certificate of their own, and those that could not be looked at.
    pub sites: Vec<SiteRenewal>,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRenewal {
    /// Its name.
    pub site: String,
    /// The level of its certificate, if it is known.
    pub level: Option<CertificateLevel>,
    /// The expiry of the certificate in use, if it is known.
    pub ends: Option<Timestamp>,
    /// When Cloudflare told these, if it did.
    #[serde(default)]
    pub asked: Option<Timestamp>,
    /// The failure of the last pass.
    pub last_error: Option<RollError>,
    /// When the failures began without a success since.
    pub failing_since: Option<Timestamp>,
}

/// The work of a pass for a site, before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalTask {
    /// Go on with its roll.
    GoOn,
    /// Ask Cloudflare which certificate is in use.
    Ask,
    /// Nothing: this one, which Cloudflare told today, lasts longer.
    Later(InUse),
}

/// A certificate at Cloudflare that is presented to a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Its level.
    pub level: CertificateLevel,
    /// Its expiry.
    pub ends: Timestamp,
}

impl InUse {
    /// Whether it ends within `renew`.
    #[must_use]
    pub fn is_due(&self, renew: Duration, now: Timestamp) -> bool {
        self.ends.duration_since(now)
            < SignedDuration::try_from(renew).unwrap_or(SignedDuration::MAX)
    }
}

impl RenewalTask {
    /// The work for a site with this roll in progress, and with this record of the last pass;
    /// `None` if there is none. `renew` is that of the configuration.
    #[must_use]
    pub fn of(
        running: Option<&RollRecord>,
        last: Option<&SiteRenewal>,
        renew: Option<Duration>,
        now: Timestamp,
    ) -> Option<Self> {
        if running.is_some() {
            return Some(Self::GoOn);
        }
        let renew = renew?;
        let known = last.filter(|it| it.last_error.is_none()).and_then(|it| {
            let age = now.duration_since(it.asked?);
            (SignedDuration::ZERO..ASKED_EACH).contains(&age).then_some(())?;
            it.in_use()
        });
        Some(match known.filter(|it| !it.is_due(renew, now)) {
            Some(in_use) => Self::Later(in_use),
            None => Self::Ask,
        })
    }
}

impl RenewalRecord {
    /// The record in the directory `state`; `None` if no pass was made.
    ///
    /// # Errors
    /// The file cannot be used; nothing but the status reads it. The error is a sentence.
    pub fn load(state: &Path) -> Result<Option<Self>, String> {
        let describe = |error: String| {
            format!(
                "{}: {error}; the next run of `aop cloudflare renew` writes it anew",
                state.join(NAME).display()
            )
        };
        let text = aop_storage::read(state, NAME).map_err(|error| describe(error.to_string()))?;
        text.map(|text| serde_json::from_slice(&text))
            .transpose()
            .map_err(|error| describe(format!("the record is damaged: {error}")))
    }

    /// Stores the record in the directory `state`.
    ///
    /// # Errors
    /// It cannot be written. The error is a sentence.
    pub fn store(&self, state: &Path) -> Result<(), String> {
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| aop_storage::write(state, NAME, &text));
        written.map_err(|error| format!("{}: {error}", state.join(NAME).display()))
    }

    /// Deletes the record, if there is one.
    ///
    /// # Errors
    /// It cannot be deleted. The error is a sentence.
    pub fn remove(state: &Path) -> Result<(), String> {
        aop_storage::remove(state, NAME)
            .map_err(|error| format!("{}: {error}", state.join(NAME).display()))
    }

    /// The record of `site`.
    #[must_use]
    pub fn site(&self, site: &str) -> Option<&SiteRenewal> {
        self.sites.iter().find(|it| it.site == site)
    }
}

impl SiteRenewal {
    /// Of a site that could be looked at.
    #[must_use]
    pub fn good(site: &str, in_use: Option<InUse>, asked: Option<Timestamp>) -> Self {
        let (level, ends) = (in_use.map(|it| it.level), in_use.map(|it| it.ends));
        Self { site: site.to_owned(), level, ends, asked, last_error: None, failing_since: None }
    }

    /// The certificate in use, as far as it is known.
    #[must_use]
    pub fn in_use(&self) -> Option<InUse> {
        Some(InUse { level: self.level?, ends: self.ends? })
    }

    /// The record of a site that failed, after `before`, its record of the pass before. The facts
    /// about its certificate stay, unless `in_use` is newer.
    #[must_use]
    pub fn failed(
        site: &str,
        before: Option<&Self>,
        in_use: Option<InUse>,
        now: Timestamp,
        text: String,
    ) -> Self {
        Self {
            site: site.to_owned(),
            level: in_use.map(|it| it.level).or(before.and_then(|it| it.level)),
            ends: in_use.map(|it| it.ends).or(before.and_then(|it| it.ends)),
            asked: None,
            last_error: Some(RollError { at: now, text }),
            failing_since: before.and_then(|it| it.failing_since).or(Some(now)),
        }
    }
}

/// The own certificate of `site` that is presented and ends first, and the identifier of its zone;
/// `None` if it has none of its own, or Cloudflare does not tell the expiry.
#[must_use]
pub fn in_use(site: &SiteAtCloudflare) -> Option<(InUse, String)> {
    let mut found = Vec::new();
    for zone in &site.zones {
        for host in &zone.hosts {
            let (level, presented) = match host.presents {
                PresentedLevel::Zone => {
                    // Of several, Cloudflare presents the one that was deployed last. One on its
                    // way is the successor: another host of ours may have uploaded it.
                    let of_zone = zone.certificates.iter().filter(|it| {
                        it.level == PresentedLevel::Zone
                            && (it.status == DeploymentStatus::Active || is_coming(it))
                    });
                    (CertificateLevel::Zone, of_zone.max_by_key(|it| it.uploaded_on))
                }
                PresentedLevel::Host => {
                    let associated = |it: &&CertificateAtCloudflare| {
                        host.associated.as_deref() == Some(it.id.as_str())
                    };
                    (CertificateLevel::Host, zone.certificates.iter().find(associated))
                }
                PresentedLevel::Nothing | PresentedLevel::Global | PresentedLevel::Unknown(_) => {
                    continue;
                }
            };
            let ends = presented.and_then(|it| it.expires_on);
            found.extend(ends.map(|ends| (InUse { level, ends }, &zone.id)));
        }
    }
    let first = found.into_iter().min_by_key(|(it, _)| it.ends);
    first.map(|(it, zone)| (it, zone.clone()))
}

fn is_coming(it: &CertificateAtCloudflare) -> bool {
    [DeploymentStatus::Initializing, DeploymentStatus::PendingDeployment].contains(&it.status)
}

#[cfg(test)]
mod tests {
    use aop_api::{HostAtCloudflare, SslMode, ZoneAtCloudflare, timestamp};

    use super::*;

    fn certificate(
        id: &str,
        level: PresentedLevel,
        uploaded: u64,
        ends: u64,
    ) -> CertificateAtCloudflare {
        CertificateAtCloudflare {
            id: id.to_owned(),
            level,
            status: DeploymentStatus::Active,
            uploaded_on: Some(timestamp(uploaded)),
            expires_on: Some(timestamp(ends)),
            subject: None,
            issuers: Vec::new(),
            serial: None,
            spki_sha256: None,
            sha256: None,
            refused_as: None,
            refused_detail: None,
            last_seen: None,
        }
    }

    fn host(host: &str, associated: Option<&str>, presents: PresentedLevel) -> HostAtCloudflare {
        HostAtCloudflare {
            host: host.to_owned(),
            associated: associated.map(str::to_owned),
            enabled: associated.map(|_| true),
            association_status: None,
            presents,
        }
    }

    #[test]
    fn the_certificate_that_is_presented_and_ends_first_is_the_one_in_use() {
        use PresentedLevel::{Global, Host, Zone};
        let mut zone = ZoneAtCloudflare {
            zone: "example.com".into(),
            id: "z".into(),
            status: "active".into(),
            ssl_mode: SslMode::Strict,
            global_on: true,
            zone_on: true,
            certificates: vec![
                certificate("old", Zone, 1, 50),
                certificate("new", Zone, 2, 100),
                certificate("h1", Host, 1, 70),
                certificate("h2", Host, 1, 20),
            ],
            hosts: vec![host("a.example.com", None, Zone)],
        };
        let found = |zone: &ZoneAtCloudflare| {
            let found = in_use(&SiteAtCloudflare {
                site: "example.com".into(),
                zones: vec![zone.clone()],
                trusts: Vec::new(),
                requires: Vec::new(),
                identities: Vec::new(),
                findings: Vec::new(),
            });
            found.map(|(it, _)| (it.level, it.ends.as_second()))
        };
        assert_eq!(found(&zone), Some((CertificateLevel::Zone, 100)));
        zone.hosts.push(host("b.example.com", Some("h1"), Host));
        assert_eq!(found(&zone), Some((CertificateLevel::Host, 70)));
        zone.hosts = vec![host("a.example.com", None, Global)];
        assert_eq!(found(&zone), None);
        zone.hosts = vec![host("a.example.com", None, Zone)];
        zone.certificates[1].status = DeploymentStatus::PendingDeployment;
        assert_eq!(found(&zone), Some((CertificateLevel::Zone, 100)));
        zone.certificates[1].status = DeploymentStatus::DeploymentTimedOut;
        assert_eq!(found(&zone), Some((CertificateLevel::Zone, 50)));
    }

    #[test]
    fn cloudflare_is_asked_once_a_day_and_after_each_failure() {
        let renew = Some(Duration::from_secs(30 * 86_400));
        let ends = timestamp(100 * 86_400);
        let known = InUse { level: CertificateLevel::Zone, ends };
        let good = SiteRenewal::good("a", Some(known), Some(timestamp(86_400)));
        let task =
            |last: Option<&SiteRenewal>, now| RenewalTask::of(None, last, renew, timestamp(now));
        assert_eq!(task(None, 0), Some(RenewalTask::Ask));
        assert_eq!(task(Some(&good), 86_400), Some(RenewalTask::Later(known)));
        assert_eq!(task(Some(&good), 86_400 + 22 * 3600), Some(RenewalTask::Later(known)));
        assert_eq!(task(Some(&good), 2 * 86_400), Some(RenewalTask::Ask));
        // The clock was ahead.
        assert_eq!(task(Some(&good), 86_000), Some(RenewalTask::Ask));
        let due = SiteRenewal::good("a", Some(known), Some(timestamp(80 * 86_400)));
        assert_eq!(task(Some(&due), 80 * 86_400), Some(RenewalTask::Ask));
        let failed =
            SiteRenewal::failed("a", Some(&good), None, timestamp(86_400), "one".to_owned());
        assert_eq!(task(Some(&failed), 86_401), Some(RenewalTask::Ask));
        let none = SiteRenewal::good("a", None, Some(timestamp(86_400)));
        assert_eq!(task(Some(&none), 86_401), Some(RenewalTask::Ask));
        assert_eq!(RenewalTask::of(None, Some(&good), None, timestamp(0)), None);
    }

    #[test]
    fn a_failure_keeps_its_beginning_and_what_was_known() {
        let (first, second) = (timestamp(1_000), timestamp(2_000));
        let known = InUse { level: CertificateLevel::Host, ends: timestamp(9_000) };
        let good = SiteRenewal::good("a", Some(known), None);
        let failed = SiteRenewal::failed("a", Some(&good), None, first, "one".to_owned());
        assert_eq!((failed.level, failed.ends), (good.level, good.ends));
        assert_eq!(failed.failing_since, Some(first));
        let again = SiteRenewal::failed("a", Some(&failed), None, second, "two".to_owned());
        assert_eq!(again.failing_since, Some(first));
        assert_eq!(again.last_error, Some(RollError { at: second, text: "two".to_owned() }));
        let unknown = SiteRenewal::failed("b", None, None, first, "one".to_owned());
        assert_eq!((unknown.level, unknown.ends), (None, None));
    }

    #[test]
    fn the_record_is_kept_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(RenewalRecord::load(dir.path()), Ok(None));
        let known = InUse { level: CertificateLevel::Zone, ends: timestamp(9) };
        let sites = vec![SiteRenewal::good("a", Some(known), Some(timestamp(4)))];
        let record = RenewalRecord { at: timestamp(5), sites };
        record.store(dir.path()).expect("stored");
        assert_eq!(RenewalRecord::load(dir.path()), Ok(Some(record)));
        std::fs::write(dir.path().join(NAME), "{").expect("written");
        let error = RenewalRecord::load(dir.path()).expect_err("damaged");
        assert!(error.contains(NAME) && error.contains("writes it anew"), "{error}");
        RenewalRecord::remove(dir.path()).expect("removed");
        assert_eq!(RenewalRecord::load(dir.path()), Ok(None));
    }
}
