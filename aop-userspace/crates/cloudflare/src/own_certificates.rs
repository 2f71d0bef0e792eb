//! The own certificates of the sites, for the status: from the records of rolls, that of the last
//! pass of renewals, and the certificates that arrive. Asks nobody.

use std::{cmp::Reverse, path::Path};

use aop_api::{
    IdentityLevel, OwnCertificate, PresentedLevel, RollMark, SeenIdentities, SeenIdentity,
    SiteIdentities, days_until, moment_text,
};
use jiff::{SignedDuration, Timestamp};

use crate::{CertificateLevel, RenewalRecord, RollRecord, RollStep, SiteRenewal};

/// The timer runs a pass each hour.
const STALE: SignedDuration = SignedDuration::from_hours(48);

/// The records of the sites' own certificates.
#[derive(Debug, Default)]
pub struct OwnCertificates {
    rolls: Vec<RollRecord>,
    renewal: Option<RenewalRecord>,
    /// Records that cannot be used, each as a sentence.
    trouble: Vec<String>,
}

impl OwnCertificates {
    /// Reads the records in `state`.
    #[must_use]
    pub fn read(state: &Path) -> Self {
        let mut own = Self::default();
        let records = RollRecord::load_all(state).unwrap_or_else(|error| vec![Err(error)]);
        for record in records {
            match record {
                Ok(record) => own.rolls.push(record),
                Err(error) => own.trouble.push(error.to_string()),
            }
        }
        match RenewalRecord::load(state) {
            Ok(renewal) => own.renewal = renewal,
            Err(error) => own.trouble.push(error),
        }
        own
    }

    /// The certificate of each of `sites` that has one, with the certificates that arrived.
    #[must_use]
    pub fn of_sites(
        &self,
        sites: &[String],
        identities: &[SeenIdentity],
        now: Timestamp,
    ) -> Vec<OwnCertificate> {
        let of_site = |site: &String| {
            let arrived: Vec<&SeenIdentity> = identities
                .iter()
                .filter(|it| it.site == *site && it.level == IdentityLevel::Own)
                .collect();
            let roll = self.rolls.iter().find(|it| it.site == *site);
            let renewal = self.renewal.as_ref().and_then(|it| it.site(site));
            own_certificate(site, roll, renewal, &arrived, now)
        };
        sites.iter().filter_map(of_site).collect()
    }

    /// Records that cannot be used, rolls that none of `sites` has, and renewals that nobody makes
    /// any more.
    #[must_use]
    pub fn warnings(&self, sites: &[String], now: Timestamp) -> Vec<String> {
        let left = self.rolls.iter().filter(|it| !it.is_done() && !sites.contains(&it.site));
        let left = left.map(|it| {
            format!(
                "the roll of {0} at Cloudflare is not at its end, and no site is called so. If a site \
                 has its hosts ({1}), run `aop cloudflare roll --site {2}`; if none has, look at \
                 `aop cloudflare status`, and move cloudflare/{0}.json in paths.state away",
                it.site,
                it.hosts.join(", "),
                it.hosts.first().map_or("HOST", String::as_str)
            )
        });
        let stale = self.renewal.as_ref().filter(|it| now.duration_since(it.at) > STALE);
        let stale = stale.map(|it| {
            format!(
                "`aop cloudflare renew` last ran {}: does the timer run? `systemctl status \
                 aop-renew.timer`. Without cloudflare.renew, run it once more by hand",
                moment_text(it.at, now)
            )
        });
        self.trouble.iter().cloned().chain(left).chain(stale).collect()
    }

    /// Marks the new and the old certificate of each roll among those that arrived.
    pub fn mark(&self, identities: &mut SeenIdentities) {
        for SiteIdentities { site, identities, .. } in &mut identities.sites {
            let Some(roll) = self.rolls.iter().find(|it| it.site == *site) else { continue };
            for identity in identities {
                identity.roll = mark_of(roll, identity);
            }
        }
    }
}

/// The part of a certificate that arrived in the roll.
fn mark_of(roll: &RollRecord, identity: &SeenIdentity) -> Option<RollMark> {
    let leaf = roll.leaf.as_ref();
    if leaf.is_some_and(|it| it.serial == identity.serial && it.spki_sha256 == identity.spki_sha256)
    {
        return Some(RollMark::New);
    }
    let old = roll.before.certificates.iter().any(|it| {
        it.serial.as_deref() == Some(&identity.serial)
            && it.spki_sha256.as_deref() == Some(&identity.spki_sha256)
    });
    old.then_some(RollMark::Old)
}

fn own_certificate(
    site: &str,
    roll: Option<&RollRecord>,
    renewal: Option<&SiteRenewal>,
    arrived: &[&SeenIdentity],
    now: Timestamp,
) -> Option<OwnCertificate> {
    let running = roll.filter(|it| !it.is_done());
    // After a roll that was called back, the old certificate is in use.
    let finished = roll.filter(|it| it.is_done() && it.undo.is_none() && it.level().is_some());
    if running.is_none() && finished.is_none() && renewal.is_none() {
        return None;
    }
    let last_of = |wanted: &dyn Fn(&SeenIdentity) -> bool| {
        let wanted = arrived.iter().filter(|it| wanted(it));
        // Of two that came within a second, the one that ends first.
        wanted.max_by_key(|it| (it.last_seen, Reverse(it.not_after))).map(|it| it.not_after)
    };
    let told = renewal.and_then(|it| it.ends);
    let ends = match (running, finished) {
        (Some(roll), _) if roll.has_reached(RollStep::Seen) && roll.undo.is_none() => {
            roll.leaf.as_ref().map(|it| it.not_after)
        }
        (Some(roll), _) => last_of(&|it| mark_of(roll, it) != Some(RollMark::New)).or(told),
        // Somebody may have replaced it by hand since.
        (None, Some(roll)) => {
            last_of(&|_| true).or(told).or(roll.leaf.as_ref().map(|it| it.not_after))
        }
        (None, None) => last_of(&|_| true).or(told),
    };
    let level = running.or(finished).map_or(renewal.and_then(|it| it.level), RollRecord::level);
    let failure = match running {
        Some(roll) => (roll.last_error.as_ref(), roll.failing_since),
        None => {
            (renewal.and_then(|it| it.last_error.as_ref()), renewal.and_then(|it| it.failing_since))
        }
    };
    Some(OwnCertificate {
        site: site.to_owned(),
        level: level.map(|level| match level {
            CertificateLevel::Zone => PresentedLevel::Zone,
            CertificateLevel::Host => PresentedLevel::Host,
        }),
        ends,
        days_left: ends.map(|ends| days_until(ends, now)),
        step: running.map(|it| it.step().map_or("begun", RollStep::name).to_owned()),
        waits_for: running.map(|it| waits_for(it).to_owned()),
        last_error: failure.0.map(|it| it.text.clone()),
        failed_at: failure.0.map(|it| it.at),
        failing_since: failure.1.filter(|_| failure.0.is_some()),
    })
}

/// The event that ends the present step.
fn waits_for(roll: &RollRecord) -> &'static str {
    if roll.undo.is_some() {
        return "the way back to what was there before";
    }
    match roll.step() {
        None => "a leaf",
        Some(RollStep::Made) => "this host to accept it",
        Some(RollStep::Trusted) => "its upload",
        Some(RollStep::Uploaded) => "the edges to have it",
        Some(RollStep::Active) => "its switch at Cloudflare",
        Some(RollStep::SwitchedOn) if roll.wait_for > 1 => "pulls with it, here and at other hosts",
        Some(RollStep::SwitchedOn) => "a pull with it",
        Some(RollStep::Seen) => "the last pull with the old one",
        Some(RollStep::Settled) => "the deletion of the old one",
        Some(RollStep::Done) => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use aop_api::timestamp;

    use super::*;
    use crate::{
        KnownCertificate, RollBefore, RollError, RollLeaf, RollTarget, StepTime, renewal::InUse,
    };

    const SITE: &str = "example.com";
    const NOW: u64 = 100 * 86_400;

    fn day(day: u64) -> Timestamp {
        timestamp(day * 86_400)
    }

    fn roll(target: RollTarget, steps: &[RollStep]) -> RollRecord {
        let old = KnownCertificate {
            id: "old".parse().expect("an id"),
            level: CertificateLevel::Zone,
            status: aop_api::DeploymentStatus::Active,
            serial: Some("01".into()),
            spki_sha256: Some("01".into()),
            replaced: true,
        };
        let before = RollBefore {
            global_on: false,
            zone_on: true,
            certificates: vec![old],
            associations: Vec::new(),
        };
        let zone = ("z".parse().expect("an id"), SITE.to_owned());
        let mut roll = RollRecord::new(SITE.into(), vec![SITE.into()], zone, target, before);
        roll.steps = steps.iter().map(|step| StepTime { step: *step, at: day(90) }).collect();
        roll.leaf = Some(RollLeaf {
            serial: "02".into(),
            spki_sha256: "02".into(),
            sha256: "02".into(),
            not_after: day(190),
        });
        roll
    }

    fn identity(serial: &str, last_seen: u64, not_after: u64) -> SeenIdentity {
        SeenIdentity {
            site: SITE.into(),
            subject: "CN=pulls".into(),
            issuer: "CN=ca".into(),
            spki_sha256: serial.into(),
            serial: serial.into(),
            not_before: day(1),
            not_after: day(not_after),
            level: IdentityLevel::Own,
            client_ca: None,
            first_seen: day(1),
            last_seen: day(last_seen),
            pulls: 1,
            roll: None,
        }
    }

    fn shown(own: &OwnCertificates, identities: &[SeenIdentity]) -> Option<OwnCertificate> {
        let sites = [SITE.to_owned(), "other.example".to_owned()];
        let mut all = own.of_sites(&sites, identities, timestamp(NOW));
        assert!(all.len() <= 1, "{all:?}");
        all.pop()
    }

    #[test]
    fn until_the_successor_is_seen_the_expiry_of_the_old_certificate_counts() {
        let rolled = |steps: &[RollStep]| OwnCertificates {
            rolls: vec![roll(RollTarget::Zone, steps)],
            ..OwnCertificates::default()
        };
        let old = [identity("01", 99, 109)];
        let own = shown(&rolled(&[RollStep::Made, RollStep::Trusted]), &old).expect("one");
        assert_eq!((own.days_left, own.step.as_deref()), (Some(9), Some("trusted")));
        assert_eq!(own.waits_for.as_deref(), Some("its upload"));
        assert_eq!(own.level, Some(PresentedLevel::Zone));
        // The first pull with the new one is not the proof that no old one comes any more.
        let both = [identity("02", 100, 190), identity("01", 99, 109)];
        let own = shown(&rolled(&[RollStep::SwitchedOn]), &both).expect("one");
        assert_eq!(own.days_left, Some(9));
        let own = shown(&rolled(&[RollStep::Seen]), &both).expect("one");
        assert_eq!(own.days_left, Some(90));
        let mut called_back = rolled(&[RollStep::Seen]);
        called_back.rolls[0].undo = Some(day(99));
        let own = shown(&called_back, &both).expect("one");
        assert_eq!(own.days_left, Some(9));
        assert_eq!(own.waits_for.as_deref(), Some("the way back to what was there before"));
        let own = shown(&rolled(&[RollStep::Done]), &both).expect("one");
        assert_eq!((own.days_left, own.step, own.waits_for), (Some(90), None, None));
        // By hand, somebody made another one.
        let by_hand = [identity("03", 100, 300), identity("02", 95, 190)];
        let own = shown(&rolled(&[RollStep::Done]), &by_hand).expect("one");
        assert_eq!(own.days_left, Some(200));
    }

    #[test]
    fn the_way_back_to_the_global_certificate_leaves_no_certificate_of_its_own() {
        let back = |steps: &[RollStep]| OwnCertificates {
            rolls: vec![roll(RollTarget::BackToGlobal, steps)],
            ..OwnCertificates::default()
        };
        let own = shown(&back(&[RollStep::SwitchedOn]), &[identity("01", 99, 120)]).expect("one");
        assert_eq!((own.level, own.days_left), (None, Some(20)));
        assert_eq!(shown(&back(&[RollStep::Done]), &[]), None);
    }

    #[test]
    fn failures_come_from_the_roll_in_progress_and_otherwise_from_the_last_pass() {
        let in_use = InUse { level: CertificateLevel::Host, ends: day(120) };
        let good = SiteRenewal::good(SITE, Some(in_use), None);
        let failed = SiteRenewal::failed(SITE, Some(&good), None, day(99), "no token".to_owned());
        let mut own = OwnCertificates {
            renewal: Some(RenewalRecord { at: day(99), sites: vec![failed] }),
            ..OwnCertificates::default()
        };
        let shown_first = shown(&own, &[]).expect("one");
        assert_eq!(shown_first.last_error.as_deref(), Some("no token"));
        assert_eq!(shown_first.failing_since, Some(day(99)));
        assert_eq!(
            (shown_first.level, shown_first.days_left),
            (Some(PresentedLevel::Host), Some(20))
        );
        let mut running = roll(RollTarget::Zone, &[RollStep::Made]);
        own.rolls = vec![running.clone()];
        assert_eq!(shown(&own, &[]).expect("one").last_error, None);
        running.last_error = Some(RollError { at: day(98), text: "429".to_owned() });
        running.failing_since = Some(day(97));
        own.rolls = vec![running];
        let both = shown(&own, &[]).expect("one");
        assert_eq!((both.last_error.as_deref(), both.failing_since), (Some("429"), Some(day(97))));
        assert_eq!(both.days_left, Some(20));
        let sites = [SITE.to_owned()];
        assert!(own.warnings(&sites, timestamp(NOW)).is_empty());
        let warnings = own.warnings(&sites, day(103)).join("");
        assert!(warnings.contains("last ran 4 d 0 h ago") && warnings.contains("aop-renew.timer"));
    }

    #[test]
    fn records_that_cannot_be_used_are_warnings_and_certificates_that_arrive_are_marked() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(OwnCertificates::read(dir.path()).warnings(&[], day(1)).is_empty());
        roll(RollTarget::Zone, &[RollStep::Made]).store(dir.path()).expect("stored");
        std::fs::write(RollRecord::file(dir.path(), "cut.example", "json"), "{").expect("written");
        std::fs::write(dir.path().join("cloudflare-renewal.json"), "{").expect("written");
        let own = OwnCertificates::read(dir.path());
        let warnings = own.warnings(&[SITE.to_owned()], day(1));
        assert!(warnings.len() == 2 && warnings[0].contains("cut.example.json"), "{warnings:?}");
        let of_site = |identities| SiteIdentities { site: SITE.into(), identities, forgotten: 0 };
        let arrived = ["01", "02", "03"].map(|serial| identity(serial, 99, 120)).to_vec();
        let mut seen = SeenIdentities { sites: vec![of_site(arrived)] };
        own.mark(&mut seen);
        let marks: Vec<_> = seen.sites[0].identities.iter().map(|it| it.roll.clone()).collect();
        assert_eq!(marks, [Some(RollMark::Old), Some(RollMark::New), None]);
    }
}
