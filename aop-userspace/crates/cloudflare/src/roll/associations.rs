//! The associations of the hosts of a site: Cloudflare takes a call for each.

use std::time::{Duration, Instant};

use aop_config::Host;

use crate::{ApiError, Client, HostAssociation, ZoneId};

/// The time that an answer counts, for each host that is asked for. Otherwise a site of 100 hosts
/// would use up the calls of five minutes in five turns of a roll.
const COUNTS_FOR: Duration = Duration::from_secs(1);

/// Hosts, each with its association.
type OfHosts = Vec<(Host, Option<HostAssociation>)>;

/// The last answers.
#[derive(Debug)]
pub(crate) struct KnownAssociations {
    zone: ZoneId,
    hosts: OfHosts,
    at: Instant,
}

impl KnownAssociations {
    fn counts(&self, zone: &ZoneId, hosts: &[Host]) -> bool {
        let time = COUNTS_FOR * u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        self.zone == *zone
            && self.hosts.iter().map(|it| &it.0).eq(hosts)
            && self.at.elapsed() < time
    }
}

impl Client {
    /// The associations of `hosts`, as Cloudflare told them at most a second for each host ago, and
    /// after the last change of this client.
    pub(super) fn associations(
        &mut self,
        zone: &ZoneId,
        hosts: Vec<Host>,
    ) -> Result<OfHosts, ApiError> {
        if let Some(known) = self.associations.as_ref().filter(|it| it.counts(zone, &hosts)) {
            return Ok(known.hosts.clone());
        }
        let mut answered = Vec::new();
        for host in hosts {
            let association = self.association(zone, &host)?;
            answered.push((host, association));
        }
        let (zone, hosts) = (zone.clone(), answered.clone());
        self.associations = Some(KnownAssociations { zone, hosts, at: Instant::now() });
        Ok(answered)
    }
}
