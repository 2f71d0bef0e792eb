//! What the terminator process has: nothing, something prepared, or a service at work.

use std::{net::TcpListener, os::fd::OwnedFd, path::PathBuf, sync::Arc};

use super::{capacity, gate::AddressGate, identities, peers::Peers, report};
use crate::{
    channel::{AddressRules, Ask, Bundle, Said},
    config::{Config, Live},
    control::Identities,
    edge::{Gate, PeerBook},
    firewall::{PeerFiles, PinnedPeers},
    terminator::{Listener, Policy, Service},
    tls::{Files, Sites},
};

/// See the module's page.
#[derive(Default)]
pub(super) struct State {
    prepared: Option<Prepared>,
    serving: Option<Serving>,
}

/// A configuration that could be served.
struct Prepared {
    config: Config,
    sites: Sites,
}

/// A configuration that is served.
struct Serving {
    live: Live,
    gate: Arc<AddressGate>,
    service: Arc<Service>,
}

impl State {
    pub(super) fn service(&self) -> Option<Arc<Service>> {
        self.serving.as_ref().map(|serving| serving.service.clone())
    }

    /// Does `ask`, or says why not and changes nothing.
    pub(super) fn obey(&mut self, ask: Ask, files: Vec<OwnedFd>) -> Said {
        let done = match ask {
            Ask::Prepare(bundle) => self.prepare(bundle),
            Ask::Serve { rules, pinned, known } => self.serve(rules, pinned, known, files),
            Ask::Commit(rules) => self.commit(rules),
            Ask::Admit(rules) => self.admit(rules),
            Ask::Report => return Said::Report(Box::new(self.report())),
            Ask::Drain { .. } => Err("there is nothing to drain".to_owned()),
            Ask::Fence => Err("a fence is not the state's".to_owned()),
        };
        match done {
            Ok(()) => Said::Done,
            Err(why) => Said::Refused(why),
        }
    }

    fn prepare(&mut self, bundle: Bundle) -> Result<(), String> {
        self.prepared = None;
        let (file, text, files) = bundle.open();
        self.prepared = Some(Prepared::new(file, &text, &Files::handed_over(files))?);
        Ok(())
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
        let gate = Arc::new(AddressGate::new(admission, &config.live, modes, peers));
        let service = Service::start(
            listeners,
            policy(sites, &config.live),
            gate.clone() as Arc<dyn Gate>,
            gate.clone() as Arc<dyn PeerBook>,
            capacity::affordable(config.fixed.limits),
        );
        service.ledger().recall(identities::recalled(known, &config.live.site_names()));
        self.serving = Some(Serving { live: config.live, gate, service: Arc::new(service) });
        Ok(())
    }

    fn commit(&mut self, rules: AddressRules) -> Result<(), String> {
        let serving = self.serving.as_mut().ok_or(NOTHING_SERVED)?;
        let Prepared { config, sites } = self.prepared.take().ok_or(NOTHING_PREPARED)?;
        let (admission, modes) = rules.open();
        serving.gate.replace(admission, &config.live, modes);
        serving.service.reload(policy(sites, &config.live), config.live.shutdown);
        serving.live = config.live;
        Ok(())
    }

    fn admit(&mut self, rules: AddressRules) -> Result<(), String> {
        let serving = self.serving.as_ref().ok_or(NOTHING_SERVED)?;
        let (admission, modes) = rules.open();
        serving.gate.replace(admission, &serving.live, modes);
        Ok(())
    }

    fn report(&self) -> crate::channel::Report {
        match &self.serving {
            Some(Serving { live, gate, service }) => {
                report::report(service.ledger().snapshot(), &gate.peers().in_memory(), live)
            }
            None => crate::channel::Report::default(),
        }
    }
}

const NOTHING_PREPARED: &str = "nothing was prepared";
const NOTHING_SERVED: &str = "nothing is served yet";

impl Prepared {
    fn new(file: PathBuf, text: &str, files: &Files) -> Result<Self, String> {
        let config = Config::parse(&file, text).map_err(|error| error.to_string())?;
        let built = Sites::build(&config.live.sites, files);
        // The daemon has read the same files, and told what an operator should know.
        let (sites, _) = built.map_err(|error| error.to_string())?;
        Ok(Self { config, sites })
    }
}

/// What handshakes are judged by.
fn policy(sites: Sites, live: &Live) -> Policy {
    Policy { sites, deadline: live.deadline }
}
