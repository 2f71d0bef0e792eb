//! The state of the terminator process: the prepared configuration, and the running service.

use std::{net::TcpListener, os::fd::OwnedFd, sync::Arc};

use aop_api::{
    SeenIdentities,
    terminator::{AddressPolicy, Command, ConfigBundle, Reply, TerminatorSnapshot},
};
use aop_config::{Config, ReloadableConfig};
use aop_firewall::{PeerFiles, PinnedPeers};
use aop_listeners::Listener;
use aop_terminator::{Service, ServicePolicy};
use aop_tls::{SiteFiles, Sites};
use aop_types::{PeerGate, PeerRecord};

use super::{
    address_gate::AddressGate, file_limit, peer_store::PeerStore, report, seen_identities,
    upstream_checks::UpstreamChecks,
};

/// The state of the terminator process. It starts empty.
pub(super) struct TerminatorState {
    prepared: Option<PreparedConfig>,
    serving: Option<ServedConfig>,
    cpus: usize,
}

/// A configuration that is ready to be served.
pub(super) struct PreparedConfig {
    config: Config,
    sites: Sites,
}

/// A configuration that is served.
struct ServedConfig {
    live: ReloadableConfig,
    gate: Arc<AddressGate>,
    service: Arc<Service>,
    checks: UpstreamChecks,
}

impl TerminatorState {
    /// The empty state. `cpus` is the number of workers if the configuration sets none.
    pub(super) fn new(cpus: usize) -> Self {
        Self { prepared: None, serving: None, cpus }
    }

    pub(super) fn service(&self) -> Option<Arc<Service>> {
        self.serving.as_ref().map(|serving| serving.service.clone())
    }

    /// Carries out `command`, or changes nothing and returns the reason.
    pub(super) fn handle(&mut self, command: Command, files: Vec<OwnedFd>) -> Reply {
        let done = match command {
            Command::Serve { rules, pinned, known } => self.serve(rules, pinned, known, files),
            Command::Commit(rules) => self.commit(rules),
            Command::Admit(rules) => self.admit(rules),
            Command::Report => {
                return Reply::Report(Box::new(self.report()));
            }
            Command::Prepare(bundle) => return self.set_prepared(PreparedConfig::new(bundle)),
            Command::Drain { .. } => Err("there is nothing to drain".to_owned()),
            Command::Ping => Err("the workers are not part of the state".to_owned()),
            Command::Fence => Err("the sandbox is not part of the state".to_owned()),
        };
        match done {
            Ok(()) => Reply::Done,
            Err(why) => Reply::Refused(why),
        }
    }

    /// Stores the configuration that was prepared last, or none if preparing failed.
    pub(super) fn set_prepared(&mut self, built: Result<PreparedConfig, String>) -> Reply {
        let (prepared, reply) = match built {
            Ok(prepared) => (Some(prepared), Reply::Done),
            Err(why) => (None, Reply::Refused(why)),
        };
        self.prepared = prepared;
        reply
    }

    fn serve(
        &mut self,
        rules: AddressPolicy,
        pinned: bool,
        known: SeenIdentities,
        files: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let PreparedConfig { config, sites } = self.prepared.take().ok_or(NOTHING_PREPARED)?;
        let mut files = files.into_iter();
        let peers = match pinned {
            false => PeerStore::default(),
            true => {
                let Some(maps) = PeerFiles::from_files(&mut files) else {
                    return Err("the descriptors of the maps are missing".to_owned());
                };
                let pinned = PinnedPeers::adopt(maps);
                PeerStore::Pinned(Box::new(pinned.map_err(|error| error.to_string())?))
            }
        };
        let listeners: Result<Vec<_>, _> =
            files.map(|file| Listener::adopt(TcpListener::from(file))).collect();
        let listeners =
            listeners.map_err(|error| format!("cannot use a listening socket: {error}"))?;
        let (admission, modes) = rules.open();
        let own = modes.sites.clone();
        let gate = Arc::new(AddressGate::new(admission, &config.live, modes, peers));
        let mut limits = file_limit::reduce_to_file_limit(config.fixed.limits);
        limits.workers.get_or_insert(self.cpus);
        let service = Service::start(
            listeners,
            policy(sites.with_overrides(&own), &config.live),
            gate.clone() as Arc<dyn PeerGate>,
            gate.clone() as Arc<dyn PeerRecord>,
            limits,
        )
        .map_err(|error| format!("cannot start a worker thread: {error}"))?;
        service
            .counters()
            .restore(seen_identities::from_document(known, &config.live.site_names()));
        let (service, checks) = (Arc::new(service), UpstreamChecks::start(&config.live.sites));
        self.serving = Some(ServedConfig { live: config.live, gate, service, checks });
        Ok(())
    }

    fn commit(&mut self, rules: AddressPolicy) -> Result<(), String> {
        let serving = self.serving.as_mut().ok_or(NOTHING_SERVED)?;
        let PreparedConfig { config, sites } = self.prepared.take().ok_or(NOTHING_PREPARED)?;
        let (admission, modes) = rules.open();
        let sites = sites.with_overrides(&modes.sites);
        serving.gate.replace(admission, &config.live, modes);
        serving.service.reload(policy(sites, &config.live), config.live.shutdown);
        serving.checks.replace(&config.live.sites);
        serving.live = config.live;
        Ok(())
    }

    fn admit(&mut self, rules: AddressPolicy) -> Result<(), String> {
        let serving = self.serving.as_ref().ok_or(NOTHING_SERVED)?;
        let (admission, modes) = rules.open();
        serving.service.apply_mode_overrides(&modes.sites, serving.live.shutdown);
        serving.gate.replace(admission, &serving.live, modes);
        Ok(())
    }

    fn report(&self) -> TerminatorSnapshot {
        match &self.serving {
            Some(ServedConfig { live, gate, service, checks }) => {
                let (counters, peers) = (service.counters().snapshot(), gate.peers().in_memory());
                let open = service.open_requests();
                report::report(counters, open, &peers, live, checks.report())
            }
            None => TerminatorSnapshot::default(),
        }
    }
}

const NOTHING_PREPARED: &str = "no configuration was prepared";
const NOTHING_SERVED: &str = "nothing is served yet";

impl PreparedConfig {
    /// Builds the sites of a configuration. Takes seconds for thousands of sites.
    pub(super) fn new(bundle: ConfigBundle) -> Result<Self, String> {
        let (file, text, files) = bundle.open();
        let config = Config::parse(&file, &text).map_err(|error| error.to_string())?;
        let built = Sites::build(&config.live.sites, &SiteFiles::handed_over(files));
        // The daemon has read the same files and reported the warnings.
        let (sites, _) = built.map_err(|error| error.to_string())?;
        Ok(Self { config, sites })
    }
}

/// The part of a configuration that decides about handshakes.
fn policy(sites: Sites, live: &ReloadableConfig) -> ServicePolicy {
    ServicePolicy { sites, senders: live.senders.clone(), deadline: live.deadline }
}
