//! A process that talks to etcd for this host, and the report that it gets.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aop_api::OriginReport;
use aop_config::{FleetConfig, FleetName};
use aop_firewall::PeerListing;
use aop_fleet::{
    FleetAccess, FleetClient, FleetError, PublishOutcome, ReportFacts, host_report, own_name,
};
use aop_sandbox::NameLookup;
use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use ipnet::IpNet;
use jiff::Timestamp;

use super::instance;
use crate::Daemon;

/// The files are read again after this time: one may have been replaced before it ends.
const READ_AGAIN: Duration = Duration::from_secs(3600);

/// A process with its access.
pub(super) struct FleetSession {
    client: FleetClient,
    access: FleetAccess,
    files: FilesRead,
    instance: String,
}

/// When the files of the access were read, so that a new certificate is used.
struct FilesRead {
    at: Instant,
    /// The changes of the policy until then.
    changes: u64,
    /// An attempt with them has failed since then.
    has_failed: bool,
}

impl FilesRead {
    fn now(changes: u64) -> Self {
        Self { at: Instant::now(), changes, has_failed: false }
    }

    /// Whether they are to be read again.
    fn is_stale(&self, changes: u64) -> bool {
        self.changes != changes || self.has_failed || self.at.elapsed() >= READ_AGAIN
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The process, or etcd.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Something of this host.
    #[error("{0}")]
    Here(String),
}

impl Daemon {
    /// Makes a report and publishes it; `changes` counts the changes of the policy. A new process
    /// is started if there is none, or if the files or the settings are others.
    pub(super) fn report_once(
        self: &Arc<Self>,
        session: &mut Option<FleetSession>,
        config: &FleetConfig,
        changes: u64,
    ) -> Result<PublishOutcome, SessionError> {
        let name =
            own_name(config).map_err(|why| SessionError::Here(format!("{why}. Set fleet.name")))?;
        let stale = |it: &FleetSession| it.files.is_stale(changes);
        if session.as_ref().is_none_or(stale) {
            let access =
                FleetAccess::read(config).map_err(|it| SessionError::Here(it.to_string()))?;
            match session {
                Some(had) if had.access == access => had.files = FilesRead::now(changes),
                _ => {
                    self.fleet.use_files(access.expiries());
                    *session = Some(self.start_session(access, FilesRead::now(changes))?);
                }
            }
        }
        let Some(open) = session else { return Err(SessionError::Here("no session".into())) };
        let report = self.host_report(config, &name, &open.instance);
        let published = open.client.publish(report, self.orders.reads_above());
        match &published {
            Ok(PublishOutcome::Taken { orders, .. }) => self.obey(config, &name, orders),
            Err(FleetError::Launch(_) | FleetError::Broken(_)) => *session = None,
            Ok(PublishOutcome::NameTaken(_)) => {}
            Err(FleetError::Refused(_) | FleetError::Etcd(_)) => open.files.has_failed = true,
        }
        Ok(published?)
    }

    fn start_session(
        &self,
        access: FleetAccess,
        files: FilesRead,
    ) -> Result<FleetSession, SessionError> {
        let instance = {
            let _no_changes = self.policy.exclude_changes();
            instance::of_this_host(&self.settings.paths.state).map_err(SessionError::Here)?
        };
        // Each host begins at another endpoint.
        let first = usize::from(instance.bytes().fold(0_u8, u8::wrapping_add));
        let client = FleetClient::start(&self.launcher, access.clone(), NameLookup::Always, first)?;
        Ok(FleetSession { client, access, files, instance })
    }

    fn host_report(&self, config: &FleetConfig, name: &FleetName, instance: &str) -> OriginReport {
        // Without the peers: their map may have a million entries.
        let (status, _) = self.status_and_lost(PeerListing::NoPeers);
        let (sites, list_digest) = {
            let policy = self.policy.read();
            (policy.live.site_names(), digest(policy.list.list.prefixes()))
        };
        let draining = self.lifecycle.is_draining().then_some("aop is stopping");
        let facts = ReportFacts {
            name,
            instance,
            labels: &config.labels,
            sites: &sites,
            list_digest,
            orders: self.last_orders(),
            draining,
            at: Timestamp::now(),
        };
        host_report(status, &facts)
    }
}

/// SHA-256 of a list: of the family, the address and the length of each prefix.
fn digest(prefixes: &[IpNet]) -> String {
    let mut digest = Context::new(&SHA256);
    for prefix in prefixes {
        match prefix {
            IpNet::V4(v4) => digest.update(&v4.addr().octets()),
            IpNet::V6(v6) => digest.update(&v6.addr().octets()),
        }
        let family = if prefix.addr().is_ipv4() { 4 } else { 6 };
        digest.update(&[family, prefix.prefix_len()]);
    }
    HEXLOWER.encode(digest.finish().as_ref())
}
