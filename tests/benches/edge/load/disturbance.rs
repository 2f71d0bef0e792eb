//! Changes during the load, and the losses that they excuse.

use std::time::{Duration, Instant};

use anyhow::Result;
use aop_tests::wait;

use super::SHOWN;
use super::server::WebServer;
use super::steady::Tally;
use crate::network::Network;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    Nothing,
    /// aop reads its configuration again.
    Reload,
    /// A new process of aop takes over.
    Upgrade,
    /// The server certificate is replaced, and a client CA is added or removed.
    Certificates,
    /// nginx replaces its workers, which close idle connections.
    ServerReload,
    /// The application closes each connection at its second request.
    Race,
}

impl Disturbance {
    pub(super) const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Reload,
        Self::Certificates,
        Self::ServerReload,
        Self::Race,
        // The last: a reload after it closes the connections of the processes that it leaves.
        Self::Upgrade,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no change",
            Self::Reload => "aop reload, every 2 s",
            Self::Upgrade => "aop upgrade, every 5 s",
            Self::Certificates => "new certificate and CA, every 4 s",
            Self::ServerReload => "nginx reload, every 2 s",
            Self::Race => "upstream closes at the 2nd request",
        }
    }

    fn every(self) -> Duration {
        Duration::from_secs(match self {
            Self::Nothing | Self::Race => 1,
            Self::Reload | Self::ServerReload => 2,
            Self::Certificates => 4,
            Self::Upgrade => 5,
        })
    }

    /// Changes things until `end`. Returns how often it did.
    ///
    /// # Errors
    /// When a change is refused.
    pub(super) fn go_on(
        self,
        network: &mut Network,
        server: &WebServer,
        end: Instant,
    ) -> Result<usize> {
        let mut times = 0;
        let every = self.every();
        loop {
            let start = Instant::now();
            wait::until_elapsed(start, every.min(end - start));
            // The last moments are left to requests that are on their way.
            if Instant::now() + every / 2 > end {
                wait::until_elapsed(Instant::now(), end.saturating_duration_since(Instant::now()));
                return Ok(times);
            }
            self.once(times, network, server)?;
            times += 1;
        }
    }

    fn once(self, times: usize, network: &mut Network, server: &WebServer) -> Result<()> {
        match self {
            Self::Nothing | Self::Race => Ok(()),
            Self::Reload => network.daemon.must_run("reload").map(drop),
            Self::Upgrade => network.daemon.upgrade().map(drop),
            Self::Certificates => network.change(|config, lab| {
                let (site, pki) = (config.site(), &lab.pki);
                let (identity, more) = match times % 2 {
                    0 => (&pki.renewed_server, Some(pki.foreign_ca.clone())),
                    _ => (&pki.server, None),
                };
                site.certificate.clone_from(&identity.certificate);
                site.key.clone_from(&identity.key);
                site.client_ca = vec![pki.client_ca.clone()];
                site.client_ca.extend(more);
            }),
            Self::ServerReload => server.reload(),
        }
    }

    /// The losses that it does not excuse, and a change that never happened.
    pub(super) fn faults(self, tally: &Tally, times: usize) -> Vec<String> {
        let mut faults: Vec<String> = tally.lost_gets().iter().take(SHOWN).cloned().collect();
        if tally.lost_posts().len() > self.excused(tally.sent()) {
            faults.extend(tally.lost_posts().iter().take(SHOWN).cloned());
        }
        if times == 0 {
            faults.push("nothing has changed; the load is too short".to_owned());
        }
        faults
    }

    /// How many POSTs may be lost. A proxy must not repeat a POST on its own (RFC 9110, 9.2.2), so
    /// one that meets the close of a kept connection is lost. The edge may also choose a connection
    /// for a POST in the moment in which a GOAWAY arrives there, and then fails the POST itself.
    fn excused(self, sent: usize) -> usize {
        match self {
            Self::Nothing | Self::Reload => 0,
            Self::Upgrade | Self::Certificates => sent / 2000,
            Self::ServerReload => sent / 200,
            Self::Race => sent,
        }
    }
}
