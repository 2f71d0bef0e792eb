//! What the terminator process has: nothing, something prepared, or a service at work.

use std::{net::TcpListener, os::fd::OwnedFd, sync::Arc};

use aop_api::{
    Identities,
    terminator::{AddressRules, Ask, Bundle, Said},
};
use aop_config::{Config, Live};
use aop_firewall::{PeerFiles, PinnedPeers};
use aop_listeners::Listener;
use aop_terminator::{Policy, Service};
use aop_tls::{Files, Sites};
use aop_types::{Gate, PeerBook};

use super::{capacity, checks::Checks, gate::AddressGate, identities, peers::Peers, report};

/// See the module's page.
pub(super) struct State {
    prepared: Option<Prepared>,
    serving: Option<Serving>,
    cpus: usize,
}

/// A configuration that could be served.
pub(super) struct Prepared {
    config: Config,
    sites: Sites,
}

/// A configuration that is served.
struct Serving {
    live: Live,
    gate: Arc<AddressGate>,
    service: Arc<Service>,
    checks: Checks,
}

impl State {
    /// Nothing yet. There are as many workers as `cpus` where the configuration names no number.
    pub(super) fn new(cpus: usize) -> Self {
        Self { prepared: None, serving: None, cpus }
    }

    pub(super) fn service(&self) -> Option<Arc<Service>> {
        self.serving.as_ref().map(|serving| serving.service.clone())
    }

    /// Does `ask`, or says why not and changes nothing.
    pub(super) fn obey(&mut self, ask: Ask, files: Vec<OwnedFd>) -> Said {
        let done = match ask {
            Ask::Serve { rules, pinned, known } => self.serve(rules, pinned, known, files),
            Ask::Commit(rules) => self.commit(rules),
            Ask::Admit(rules) => self.admit(rules),
            Ask::Report => return Said::Report(Box::new(self.report())),
            Ask::Prepare(bundle) => return self.prepared(Prepared::new(bundle)),
            Ask::Drain { .. } => Err("there is nothing to drain".to_owned()),
            Ask::Fence => Err("a fence is not the state's".to_owned()),
        };
        match done {
            Ok(()) => Said::Done,
            Err(why) => Said::Refused(why),
        }
    }

    /// Keeps what was prepared last, or that nothing could be.
    pub(super) fn prepared(&mut self, built: Result<Prepared, String>) -> Said {
        let (prepared, said) = match built {
            Ok(prepared) => (Some(prepared), Said::Done),
            Err(why) => (None, Said::Refused(why)),
        };
        self.prepared = prepared;
        said
    }

    fn serve(
        &mut self,
        rules: AddressRules,
        pinned: bool,
        known: Identities,
        files: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let Prepared { config, sites } = self.prepared.take().ok_or(NOTHING_PREPARED)?;
        let mut files = files.into_iter();
        let peers = match pinned {
            false => Peers::default(),
            true => {
                let Some(maps) = PeerFiles::from_files(&mut files) else {
                    return Err("no maps came along".to_owned());
                };
                let pinned = PinnedPeers::adopt(maps);
                Peers::Pinned(Box::new(pinned.map_err(|error| error.to_string())?))
            }
        };
        let listeners: Result<Vec<_>, _> =
            files.map(|file| Listener::adopt(TcpListener::from(file))).collect();
        let listeners = listeners.map_err(|error| format!("a listening socket: {error}"))?;
        let (admission, modes) = rules.open();
        let own = modes.sites.clone();
        let gate = Arc::new(AddressGate::new(admission, &config.live, modes, peers));
        let mut limits = capacity::affordable(config.fixed.limits);
        limits.workers.get_or_insert(self.cpus);
        let service = Service::start(
            listeners,
            policy(sites.under(&own), &config.live),
            gate.clone() as Arc<dyn Gate>,
            gate.clone() as Arc<dyn PeerBook>,
            limits,
        )
        .map_err(|error| format!("no thread to serve with: {error}"))?;
        service.ledger().recall(identities::recalled(known, &config.live.site_names()));
        let (service, checks) = (Arc::new(service), Checks::start(&config.live.sites));
        self.serving = Some(Serving { live: config.live, gate, service, checks });
        Ok(())
    }

    fn commit(&mut self, rules: AddressRules) -> Result<(), String> {
        let serving = self.serving.as_mut().ok_or(NOTHING_SERVED)?;
        let Prepared { config, sites } = self.prepared.take().ok_or(NOTHING_PREPARED)?;
        let (admission, modes) = rules.open();
        let sites = sites.under(&modes.sites);
        serving.gate.replace(admission, &config.live, modes);
        serving.service.reload(policy(sites, &config.live), config.live.shutdown);
        serving.checks.follow(&config.live.sites);
        serving.live = config.live;
        Ok(())
    }

    fn admit(&mut self, rules: AddressRules) -> Result<(), String> {
        let serving = self.serving.as_ref().ok_or(NOTHING_SERVED)?;
        let (admission, modes) = rules.open();
        serving.service.observe(&modes.sites, serving.live.shutdown);
        serving.gate.replace(admission, &serving.live, modes);
        Ok(())
    }

    fn report(&self) -> aop_api::terminator::Report {
        match &self.serving {
            Some(Serving { live, gate, service, checks }) => {
                let (ledger, peers) = (service.ledger().snapshot(), gate.peers().in_memory());
                report::report(ledger, &peers, live, checks.report())
            }
            None => aop_api::terminator::Report::default(),
        }
    }
}

const NOTHING_PREPARED: &str = "nothing was prepared";
const NOTHING_SERVED: &str = "nothing is served yet";

impl Prepared {
    /// Takes long where there are many sites.
    pub(super) fn new(bundle: Bundle) -> Result<Self, String> {
        let (file, text, files) = bundle.open();
        let config = Config::parse(&file, &text).map_err(|error| error.to_string())?;
        let built = Sites::build(&config.live.sites, &Files::handed_over(files));
        // The daemon has read the same files, and told what an operator should know.
        let (sites, _) = built.map_err(|error| error.to_string())?;
        Ok(Self { config, sites })
    }
}

/// What handshakes are judged by.
fn policy(sites: Sites, live: &Live) -> Policy {
    Policy { sites, senders: live.senders.clone(), deadline: live.deadline }
}
