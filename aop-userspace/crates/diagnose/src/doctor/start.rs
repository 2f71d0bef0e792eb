//! Obstacles that a start of aop would meet on this host, for `aop check` and for the doctor, and
//! an upstream that cannot be right.

mod interfaces;
mod ports_held;
mod upstreams;

use aop_api::{Finding, FindingGroup, Request, Status};
use aop_config::Config;
use aop_control::ClientError;
use aop_firewall::HostInterface;

use super::{
    HostContext, HostContextError,
    finding::CheckFinding,
    procfs::{Sockets, sockets_of_aop, sockets_of_systemd},
};

/// The facts that decide.
struct Start<'a> {
    config: &'a Config,
    interfaces: &'a [HostInterface],
    sockets: &'a Sockets,
    /// The inodes of the sockets that the running aop holds, or that systemd holds for it. `None`
    /// if a daemon runs and does not answer.
    own: Option<Vec<u64>>,
}

/// The findings of `aop check` about this host.
///
/// # Errors
/// The kernel does not list the interfaces.
pub fn check_start(config: &Config) -> Result<Vec<Finding>, HostContextError> {
    let paths = &config.fixed.paths;
    let own = match aop_control::send_request::<Status>(&paths.runtime, Request::Status) {
        Ok(status) => Some(own_sockets(&status)),
        Err(ClientError::NotRunning(_)) if aop_firewall::is_in_use(&paths.pins) => None,
        Err(ClientError::NotRunning(_)) => Some(sockets_of_systemd()),
        Err(_) => None,
    };
    let start = Start {
        config,
        interfaces: &aop_firewall::host_interfaces()?,
        sockets: &Sockets::read(),
        own,
    };
    // Without privilege it is unknown whose program an interface has.
    let reading = aop_firewall::read(&paths.pins, Some(&config.live.interfaces)).ok();
    let guarded = reading.map(|it| it.map_or(Vec::new(), |it| it.interfaces));
    let wanted = aop_firewall::start_interfaces(&config.live.interfaces)?;
    let found = [
        ports_held::check(&start),
        interfaces::missing(&start),
        guarded.map_or(Vec::new(), |guarded| interfaces::foreign(&start, &wanted, &guarded)),
        upstreams::check(&start),
        upstreams::doubts(&start),
    ];
    let found = found.into_iter().flatten();
    Ok(found.map(|finding| finding.in_group(FindingGroup::Packets)).collect())
}

/// The same for the doctor. It tries the upstreams itself, and knows the interfaces of a loaded
/// firewall from the status.
pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let Some(config) = &host.config else { return Vec::new() };
    let (interfaces, sockets) = (&host.interfaces, &host.sockets);
    let silent = !host.has_daemon() && aop_firewall::is_in_use(&host.paths.pins);
    let own = (!silent).then(|| own_sockets(&host.status));
    let start = Start { config, interfaces, sockets, own };
    let mut found = ports_held::check(&start);
    if host.reading.is_none() {
        found.extend(interfaces::missing(&start));
        let wanted = aop_firewall::start_interfaces(&config.live.interfaces).unwrap_or_default();
        found.extend(interfaces::foreign(&start, &wanted, &[]));
    }
    found.extend(upstreams::check(&start));
    found
}

fn own_sockets(status: &Status) -> Vec<u64> {
    let mut own = sockets_of_aop(status);
    own.extend(sockets_of_systemd());
    own
}
