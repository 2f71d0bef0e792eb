//! The status document of a running daemon.

use std::collections::HashSet;

use aop_api::{
    AdmissionContext, DaemonReport, Expiry, FleetLink, LandlockReport, MAX_EXPIRIES, ModeName,
    ModesReport, OpenRequestsReport, RefusedPeer, SandboxReport, SeccompReport, Status,
    TerminatorReport, UpstreamReport, terminator::TerminatorSnapshot, timestamp,
};
use aop_cloudflare::OwnCertificates;
use aop_config::OnRefusal;
use aop_control::status_from_maps;
use aop_firewall::PeerListing;
use aop_sandbox::Sandbox;
use aop_tls::{FileExpiry, FileWarnings};
use aop_types::monotonic_seconds;
use jiff::Timestamp;

use super::{Daemon, active_policy::ActivePolicy};

impl Daemon {
    /// The status document. Reads the pinned maps by system calls.
    pub(super) fn status(&self) -> Status {
        self.status_and_lost(PeerListing::Peers).0
    }

    /// The status, with or without the firewall's peers, and the number of lost drop samples where
    /// the firewall could be read.
    pub(super) fn status_and_lost(&self, listing: PeerListing) -> (Status, Option<u64>) {
        let report = match &self.terminator {
            Some(terminator) => terminator.report(),
            None => Ok(TerminatorSnapshot::default()),
        };
        let (mut status, lost) = self.firewall_status(listing);
        {
            let policy = self.policy.read();
            if self.firewall.is_some() {
                add_modes(&mut status, &policy);
            } else {
                status.explain_modes(Some(ModeName::Off), None, policy.overrides.pending());
            }
            add_sites(&mut status, &policy);
            policy.add_list(&mut status.prefixes);
            let refreshes = self.refresher.state();
            refreshes.add_to(&mut status.prefixes);
            status.warnings.extend(refreshes.copy_trouble.clone());
            status.warnings.extend(policy.overrides.trouble.clone());
            status.warnings.extend(policy.list_warnings());
            status.openings = policy.openings.entries();
            status.warnings.extend(policy.openings.trouble.clone());
        }
        status.daemon = Some(DaemonReport {
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            open_connections: report.as_ref().map_or(0, |report| report.open),
            config_changed: None,
        });
        self.compare_config_file(&mut status);
        status.last_crash.clone_from(&self.last_crash);
        status.last_reload = self.reloads.last();
        status.predecessors = self.handover.predecessors.report();
        status.terminator = self.terminator.as_ref().map(|terminator| TerminatorReport {
            pid: terminator.pid(),
            user: terminator.user().to_owned(),
            answers: report.is_ok(),
            confinement: sandbox_report(terminator.sandbox()),
        });
        if self.terminator.as_ref().is_some_and(|it| it.sandbox().landlock.is_none()) {
            status.warnings.push(NO_LANDLOCK.to_owned());
        }
        {
            let policy = self.policy.read();
            let warnings = configuration_warnings(&policy, &status.mode);
            status.warnings.extend(warnings);
        }
        let files = self.file_warnings();
        status.ends = first_expiries(&files.expiries);
        status.warnings.extend(files.texts(aop_types::unix_seconds()));
        status.warnings.extend(self.audit.trouble());
        status.fleet =
            self.fleet.link().map(|link| FleetLink { order: self.last_orders().pop(), ..link });
        status.warnings.extend(status.fleet.as_ref().and_then(FleetLink::warning));
        status.warnings.extend(self.orders.warnings());
        let own = OwnCertificates::read(&self.settings.paths.state);
        let sites = self.policy.read().live.site_names();
        status.warnings.extend(own.warnings(&sites, Timestamp::now()));
        match report {
            Ok(report) => self.add_report(&mut status, report),
            Err(error) => status
                .warnings
                .push(format!("{error}. Its counters, identities and connections are not shown")),
        }
        status.cloudflare = own.of_sites(&sites, &status.identities, Timestamp::now());
        (status, lost)
    }

    /// The warnings about the files in use: those of the sites, and of the fleet.
    pub(super) fn file_warnings(&self) -> FileWarnings {
        let mut files = self.policy.read().file_warnings.clone();
        files.expiries.extend(self.fleet.expiries());
        files
    }

    fn add_report(&self, status: &mut Status, report: TerminatorSnapshot) {
        (status.handshakes, status.requests) = (report.handshakes, report.requests);
        self.evidence.add_to(&mut status.handshakes, Timestamp::now());
        let open = status.requests.open.iter();
        status.warnings.extend(open.flat_map(OpenRequestsReport::warnings));
        self.add_admission(&mut status.handshakes.refused_lately);
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
    fn add_admission(&self, refused: &mut [RefusedPeer]) {
        if refused.is_empty() {
            return;
        }
        let (admission, extra) = self.admission();
        let opened = self.policy.read().openings.networks();
        let context = AdmissionContext::new(&admission, &extra, &opened, monotonic_seconds());
        for peer in refused {
            peer.admitted_by = context.admits_stranger(peer.address);
        }
    }

    fn firewall_status(&self, listing: PeerListing) -> (Status, Option<u64>) {
        let sites = self.policy.read().live.site_names();
        // Under the lock, so that no interface is read while it is being attached.
        let found =
            self.firewall().map(|firewall| (firewall.read(listing), firewall.unguardable()));
        let Some((snapshot, unguardable)) = found else {
            let mut status = status_from_maps(None, &sites);
            let (v4, v6) = self.policy.read().admission.admitted();
            (status.prefixes.v4, status.prefixes.v6) = (v4, v6);
            return (status, None);
        };
        let warning = match snapshot {
            Ok(Some(snapshot)) => {
                let status = status_from_maps(Some(&snapshot), &sites);
                return (Status { unguardable, ..status }, Some(snapshot.lost));
            }
            Ok(None) => UNLOADED.to_owned(),
            Err(error) => format!("the firewall cannot be read: {error}"),
        };
        let mut status = status_from_maps(None, &sites);
        status.warnings.push(warning);
        (status, None)
    }
}

/// The warnings about the configuration that are true under the mode overrides: one is about
/// firewall.mode, and others are about sites that observe by the configuration.
fn configuration_warnings(policy: &ActivePolicy, mode: &ModeName) -> Vec<String> {
    let observes = *mode == ModeName::Observe;
    let sites = policy.live.sites.iter();
    let observing: HashSet<String> = sites
        .filter(|site| site.on_refusal == OnRefusal::Observe)
        .map(|site| aop_config::site_observes(&site.name))
        .collect();
    let warnings =
        policy.warnings.iter().filter(|it| observes || *it != aop_config::FIREWALL_OBSERVES);
    warnings.filter(|it| !observing.contains(*it)).cloned().collect()
}

/// The seccomp filter is always installed: without it the terminator would not serve.
fn sandbox_report(sandbox: Sandbox) -> SandboxReport {
    let landlock = sandbox.landlock.map_or(LandlockReport::None, LandlockReport::Abi);
    SandboxReport { landlock, seccomp: SeccompReport::Filter }
}

pub(super) const NO_LANDLOCK: &str = "Landlock is not available, so the terminator may read every \
     file that its user may read: boot with `landlock` among the names in lsm=, or use a kernel \
     with Landlock";

pub(super) const UNLOADED: &str = "the firewall was unloaded (`aop unload`): packets pass \
     unfiltered, and connections are judged by their certificate alone. To guard again: `aop \
     upgrade` (no connection is cut), or `systemctl restart aop`";

/// Called also where the firewall is unloaded: then a warning says so, and no interface enforces.
fn add_modes(status: &mut Status, policy: &ActivePolicy) {
    let modes = policy.modes();
    status.mode = modes.general.into();
    status.modes = ModesReport::of(&modes);
    let set_at = policy.overrides.set_at();
    status.explain_modes(Some(policy.live.mode.into()), set_at, policy.overrides.pending());
}

/// The modes of sites. The warnings about sites that observe come first.
fn add_sites(status: &mut Status, policy: &ActivePolicy) {
    status.modes.sites = policy.overrides.site_modes(&policy.live);
    let observing = status.modes.sites.iter().filter(|site| site.mode == ModeName::Observe);
    let warnings: Vec<_> = observing.map(|it| aop_config::site_observes(&it.site)).collect();
    status.warnings.splice(0..0, warnings);
}

/// Those of `terms` that end first, the soonest first.
fn first_expiries(terms: &[FileExpiry]) -> Vec<Expiry> {
    let mut terms: Vec<&FileExpiry> = terms.iter().collect();
    terms.sort_by_key(|term| term.not_after());
    let end = |term: &FileExpiry| Expiry {
        what: term.kind().into(),
        site: term.site().to_owned(),
        subject: term.subject().to_owned(),
        file: term.file().to_owned(),
        not_after: timestamp(term.not_after()),
    };
    terms.into_iter().take(MAX_EXPIRIES).map(end).collect()
}
