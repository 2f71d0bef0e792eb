//! The status document of a running daemon.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use aop_api::{
    DaemonReport, Expiry, MAX_EXPIRIES, ModesReport, RefusedPeer, SandboxReport, Status,
    TerminatorReport, UpstreamReport, mode_name, terminator::TerminatorSnapshot, timestamp,
};
use aop_common::{Mode, Standing};
use aop_config::{OnRefusal, ReloadableConfig};
use aop_control::from_firewall;
use aop_firewall::PeerListing;
use aop_sandbox::Sandbox;
use aop_tls::{FileExpiry, FileWarnings};
use aop_types::monotonic_seconds;
use arc_swap::ArcSwap;

use super::{ActivePolicy, Daemon};

/// The parts of the configuration in force that status and shutdown need, readable without a lock.
pub(crate) struct LiveFacts(ArcSwap<Facts>);

#[derive(Clone)]
struct Facts {
    sites: Vec<String>,
    shutdown: Duration,
    linger: Duration,
    warnings: Vec<String>,
    /// Those of the warnings that say that a site observes. A mode override may make them untrue.
    observing: HashSet<String>,
    notes: FileWarnings,
}

impl LiveFacts {
    pub(super) fn new(live: &ReloadableConfig, warnings: Vec<String>, notes: FileWarnings) -> Self {
        Self(ArcSwap::from_pointee(Facts::of(live, warnings, notes)))
    }

    pub(super) fn replace(
        &self,
        live: &ReloadableConfig,
        warnings: Vec<String>,
        notes: FileWarnings,
    ) {
        self.0.store(Arc::new(Facts::of(live, warnings, notes)));
    }

    /// Replaces the notes: the same configuration, with its files read again.
    pub(super) fn renew(&self, notes: FileWarnings) {
        self.0.rcu(|facts| Facts { notes: notes.clone(), ..Facts::clone(facts) });
    }

    pub(super) fn notes(&self) -> FileWarnings {
        self.0.load().notes.clone()
    }

    /// The sites, in the order of the configuration.
    pub(super) fn sites(&self) -> Vec<String> {
        self.0.load().sites.clone()
    }

    pub(super) fn shutdown(&self) -> Duration {
        self.0.load().shutdown
    }

    pub(super) fn linger(&self) -> Duration {
        self.0.load().linger
    }
}

impl Facts {
    fn of(live: &ReloadableConfig, warnings: Vec<String>, notes: FileWarnings) -> Self {
        Self {
            sites: live.site_names(),
            shutdown: live.shutdown,
            linger: live.linger,
            warnings,
            observing: live
                .sites
                .iter()
                .filter(|site| site.on_refusal == OnRefusal::Observe)
                .map(|site| aop_config::site_observes(&site.name))
                .collect(),
            notes,
        }
    }
}

impl Daemon {
    /// The status document. Reads the pinned maps by system calls.
    pub(super) fn status(&self) -> Status {
        self.status_and_lost(PeerListing::Peers).0
    }

    /// The status, with or without the firewall's peers, and the number of lost drop samples where
    /// the firewall could be read.
    pub(super) fn status_and_lost(&self, listing: PeerListing) -> (Status, Option<u64>) {
        let facts = self.facts.0.load();
        let report = match &self.link {
            Some(link) => link.report(),
            None => Ok(TerminatorSnapshot::default()),
        };
        let (mut status, lost) = self.firewall_status(&facts.sites, listing);
        {
            let in_force = self.in_force();
            if self.firewall.is_some() {
                tell_modes(&mut status, &in_force);
            } else {
                status.explain_modes(Some("off"), None);
            }
            tell_sites(&mut status, &in_force);
            in_force.tell(&mut status.prefixes);
            status.warnings.extend(in_force.warnings());
        }
        status.daemon = Some(DaemonReport {
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            open_connections: report.as_ref().map_or(0, |report| report.open),
        });
        status.last_reload = self.reloads.last();
        let openings = self.openings();
        status.openings = openings.told();
        status.warnings.extend(openings.trouble);
        status.predecessors = self.lingerers.report();
        status.terminator = self.link.as_ref().map(|link| TerminatorReport {
            pid: link.pid(),
            user: link.user().to_owned(),
            answers: report.is_ok(),
            confinement: confinement(link.fence()),
        });
        if self.link.as_ref().is_some_and(|link| link.fence().landlock.is_none()) {
            status.warnings.push(NO_LANDLOCK.to_owned());
        }
        // This warning is about firewall.mode, and an override may have changed the mode.
        let observes = status.mode == mode_name(Mode::Observe);
        let of_sites = |it: &&String| facts.observing.contains(*it);
        let warnings =
            facts.warnings.iter().filter(|it| observes || *it != aop_config::FIREWALL_OBSERVES);
        let warnings = warnings.filter(|it| !of_sites(it));
        status.warnings.extend(warnings.cloned());
        status.ends = first_to_end(&facts.notes.expiries);
        status.warnings.extend(facts.notes.texts(aop_tls::now()));
        status.warnings.extend(self.audit.trouble());
        match report {
            Ok(report) => self.book(&mut status, report),
            Err(error) => status
                .warnings
                .push(format!("{error}. Its counters, identities and connections are not shown")),
        }
        (status, lost)
    }

    fn book(&self, status: &mut Status, report: TerminatorSnapshot) {
        (status.handshakes, status.requests) = (report.handshakes, report.requests);
        self.tell_admission(&mut status.handshakes.refused_lately);
        let failing = report.upstreams.iter().filter(|upstream| upstream.good == Some(false));
        status.warnings.extend(failing.filter_map(UpstreamReport::obstacle));
        status.upstreams = report.upstreams;
        let sites = report.identities.sites.into_iter();
        status.identities = sites.flat_map(|site| site.identities).collect();
        if self.firewall.is_none() {
            (status.peers, status.peers_total) = (report.peers, report.peers_total);
        }
    }

    /// Fills in what admits each of these addresses now.
    fn tell_admission(&self, refused: &mut [RefusedPeer]) {
        if refused.is_empty() {
            return;
        }
        let opened = self.openings().networks();
        let in_force = self.in_force();
        let now = monotonic_seconds();
        for peer in refused {
            let longest = in_force.admission.longest(peer.address);
            let admits = longest.filter(|(_, entry)| entry.standing(|| now) == Standing::Admitted);
            let by = admits.map(|(prefix, _)| match &*in_force {
                ActivePolicy { held, .. } if held.list.has(&prefix) => "list",
                ActivePolicy { live, .. } if live.extra.contains(&prefix) => "extra",
                _ if opened.contains(&prefix) => "open",
                _ => "list",
            });
            peer.admitted_by = by.map(str::to_owned);
        }
    }

    fn firewall_status(&self, sites: &[String], listing: PeerListing) -> (Status, Option<u64>) {
        let Some(firewall) = &self.firewall else {
            let mut status = from_firewall(None, sites);
            (status.prefixes.v4, status.prefixes.v6) = self.in_force().admission.admitted();
            return (status, None);
        };
        // Under the lock, so that no interface is read while it is being attached.
        let reading = firewall.lock().unwrap_or_else(PoisonError::into_inner).read(listing);
        match reading {
            Ok(Some(reading)) => (from_firewall(Some(&reading), sites), Some(reading.lost)),
            Ok(None) => {
                let mut status = from_firewall(None, sites);
                status.warnings.push(UNLOADED.to_owned());
                (status, None)
            }
            Err(error) => {
                let mut status = from_firewall(None, sites);
                status.warnings.push(format!("the firewall cannot be read: {error}"));
                (status, None)
            }
        }
    }
}

/// The seccomp filter is always installed: without it the terminator would not serve.
fn confinement(fence: Sandbox) -> SandboxReport {
    let landlock = fence.landlock.map_or_else(|| "none".to_owned(), |abi| format!("abi {abi}"));
    SandboxReport { landlock, seccomp: "filter".to_owned() }
}

pub(super) const NO_LANDLOCK: &str = "Landlock is not available, so the terminator may read every \
     file that its user may read: boot with `landlock` among the names in lsm=, or use a kernel with \
     Landlock";

pub(super) const UNLOADED: &str = "the firewall was unloaded (`aop unload`): packets pass \
     unfiltered, and the guarded ports are open to everybody. To protect them again: `systemctl \
     restart aop`";

/// Called also where the firewall is unloaded: then a warning says so, and no interface enforces.
fn tell_modes(status: &mut Status, in_force: &ActivePolicy) {
    let modes = in_force.modes();
    status.mode = mode_name(modes.general).to_owned();
    status.modes = ModesReport::of(&modes);
    let set_at = in_force.spoken.set_at();
    status.explain_modes(Some(mode_name(in_force.live.mode)), set_at);
}

/// The modes of sites. The warnings about sites that observe come first.
fn tell_sites(status: &mut Status, in_force: &ActivePolicy) {
    status.modes.sites = in_force.spoken.told_of_sites(&in_force.live);
    status.modes.pending = in_force.spoken.pending();
    let observing = status.modes.sites.iter().filter(|site| site.mode == mode_name(Mode::Observe));
    let warnings: Vec<_> = observing.map(|it| aop_config::site_observes(&it.site)).collect();
    status.warnings.splice(0..0, warnings);
}

/// Those of `terms` that end first, the soonest first.
fn first_to_end(terms: &[FileExpiry]) -> Vec<Expiry> {
    let mut terms: Vec<&FileExpiry> = terms.iter().collect();
    terms.sort_by_key(|term| term.not_after());
    let end = |term: &FileExpiry| Expiry {
        what: term.kind().to_owned(),
        site: term.site().to_owned(),
        subject: term.subject().to_owned(),
        file: term.file().to_owned(),
        not_after: timestamp(term.not_after()),
    };
    terms.into_iter().take(MAX_EXPIRIES).map(end).collect()
}
