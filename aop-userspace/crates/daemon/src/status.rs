//! What a running daemon tells of itself and its firewall.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use aop_api::{
    Confinement, DaemonReport, End, MAX_ENDS, Modes, RefusedPeer, Status, TerminatorReport,
    UpstreamReport, mode_name, terminator::Report, timestamp,
};
use aop_common::{Mode, Standing};
use aop_config::{Live, OnRefusal};
use aop_control::from_firewall;
use aop_firewall::Listing;
use aop_sandbox::Fence;
use aop_tls::{Notes, Term};
use aop_types::monotonic_seconds;
use arc_swap::ArcSwap;

use super::{Daemon, InForce};

/// What status and drain need of the live configuration.
pub(crate) struct LiveFacts(ArcSwap<Facts>);

#[derive(Clone)]
struct Facts {
    sites: Vec<String>,
    shutdown: Duration,
    linger: Duration,
    warnings: Vec<String>,
    /// Those of them that say of a site that it observes, which `aop mode` may make untrue.
    observing: HashSet<String>,
    notes: Notes,
}

impl LiveFacts {
    pub(super) fn new(live: &Live, warnings: Vec<String>, notes: Notes) -> Self {
        Self(ArcSwap::from_pointee(Facts::of(live, warnings, notes)))
    }

    pub(super) fn replace(&self, live: &Live, warnings: Vec<String>, notes: Notes) {
        self.0.store(Arc::new(Facts::of(live, warnings, notes)));
    }

    /// The same configuration, with its files read anew.
    pub(super) fn renew(&self, notes: Notes) {
        self.0.rcu(|facts| Facts { notes: notes.clone(), ..Facts::clone(facts) });
    }

    pub(super) fn notes(&self) -> Notes {
        self.0.load().notes.clone()
    }

    /// The sites, in the configuration's order.
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
    fn of(live: &Live, warnings: Vec<String>, notes: Notes) -> Self {
        Self {
            sites: live.site_names(),
            shutdown: live.shutdown,
            linger: live.linger,
            warnings,
            observing: live
                .sites
                .iter()
                .filter(|site| site.on_refusal == OnRefusal::Observe)
                .map(|site| aop_config::lets_in_everybody(&site.name))
                .collect(),
            notes,
        }
    }
}

impl Daemon {
    /// The status document. Reads the pinned maps, so it takes system calls.
    pub(super) fn status(&self) -> Status {
        self.status_and_lost(Listing::Peers).0
    }

    /// The same, with or without the peers that the firewall keeps; and how many sampled drops were
    /// lost, where the firewall could be read.
    pub(super) fn status_and_lost(&self, listing: Listing) -> (Status, Option<u64>) {
        let facts = self.facts.0.load();
        let report = match &self.link {
            Some(link) => link.report(),
            None => Ok(Report::default()),
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
        // That one is about the configuration, and the general mode may be another.
        let observes = status.mode == mode_name(Mode::Observe);
        let of_sites = |it: &&String| facts.observing.contains(*it);
        let warnings = facts.warnings.iter().filter(|it| observes || *it != aop_config::OBSERVES);
        let warnings = warnings.filter(|it| !of_sites(it));
        status.warnings.extend(warnings.cloned());
        status.ends = first_to_end(&facts.notes.terms);
        status.warnings.extend(facts.notes.told(aop_tls::now()));
        status.warnings.extend(self.audit.trouble());
        match report {
            Ok(report) => self.book(&mut status, report),
            Err(error) => status
                .warnings
                .push(format!("{error}. Its counters, identities and connections are not shown")),
        }
        (status, lost)
    }

    fn book(&self, status: &mut Status, report: Report) {
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

    /// What admits each of these now.
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
                InForce { held, .. } if held.list.has(&prefix) => "list",
                InForce { live, .. } if live.extra.contains(&prefix) => "extra",
                _ if opened.contains(&prefix) => "open",
                _ => "list",
            });
            peer.admitted_by = by.map(str::to_owned);
        }
    }

    fn firewall_status(&self, sites: &[String], listing: Listing) -> (Status, Option<u64>) {
        let Some(firewall) = &self.firewall else {
            let mut status = from_firewall(None, sites);
            (status.prefixes.v4, status.prefixes.v6) = self.in_force().admission.admitted();
            return (status, None);
        };
        // Under the lock, so that nothing is read while it is being attached.
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

/// A filter of system calls is always there: without one the terminator would not serve.
fn confinement(fence: Fence) -> Confinement {
    let landlock = fence.landlock.map_or_else(|| "none".to_owned(), |abi| format!("abi {abi}"));
    Confinement { landlock, seccomp: "filter".to_owned() }
}

pub(super) const NO_LANDLOCK: &str = "this kernel has no Landlock, so the terminator may read what files its user may: boot with \
     `landlock` among the names in lsm=, or use a kernel that has it";

pub(super) const UNLOADED: &str =
    "the firewall was unloaded under the daemon: packets pass unjudged; restart aop to guard again";

/// Also where the firewall is gone: a warning tells that, and no interface enforces.
fn tell_modes(status: &mut Status, in_force: &InForce) {
    let modes = in_force.modes();
    status.mode = mode_name(modes.general).to_owned();
    status.modes = Modes::of(&modes);
    let set_at = in_force.spoken.set_at();
    status.explain_modes(Some(mode_name(in_force.live.mode)), set_at);
}

/// What sites do, and before all else which of them let in everybody.
fn tell_sites(status: &mut Status, in_force: &InForce) {
    status.modes.sites = in_force.spoken.told_of_sites(&in_force.live);
    status.modes.pending = in_force.spoken.pending();
    let observing = status.modes.sites.iter().filter(|site| site.mode == mode_name(Mode::Observe));
    let warnings: Vec<_> = observing.map(|it| aop_config::lets_in_everybody(&it.site)).collect();
    status.warnings.splice(0..0, warnings);
}

/// Those of `terms` that end first, the soonest first.
fn first_to_end(terms: &[Term]) -> Vec<End> {
    let mut terms: Vec<&Term> = terms.iter().collect();
    terms.sort_by_key(|term| term.not_after());
    let end = |term: &Term| End {
        what: term.kind().to_owned(),
        site: term.site().to_owned(),
        subject: term.subject().to_owned(),
        file: term.file().to_owned(),
        not_after: timestamp(term.not_after()),
    };
    terms.into_iter().take(MAX_ENDS).map(end).collect()
}
