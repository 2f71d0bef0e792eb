//! The listeners to attack: only those of the running aop. The configuration may list an address on
//! which another program listens until aop is restarted, and that program must not be attacked.

use aop_config::Config;

use super::{dial::Target, loopback_opening::loopback};
use crate::doctor::{
    HostContext,
    finding::{CheckFinding, untried},
    procfs::{SocketOwners, sockets_of_aop},
};

/// The configured listeners that the running aop serves, and findings about the others.
pub(super) fn attacked_listeners(
    host: &HostContext,
    config: &Config,
) -> (Vec<Target>, Vec<CheckFinding>) {
    let own = sockets_of_aop(&host.status);
    let (mut targets, mut others) = (Vec::new(), Vec::new());
    for listener in &config.fixed.listeners {
        let from = loopback(*listener);
        let mut to = *listener;
        if to.ip().is_unspecified() {
            to.set_ip(from);
        }
        let taking: Vec<u64> = host.sockets.accepting(to).iter().map(|it| it.inode).collect();
        if taking.is_empty() {
            let why = "not open: aop has not been restarted since the configuration was changed";
            others.push(untried("tls", why).about(listener));
        } else if taking.iter().all(|inode| own.contains(inode)) {
            targets.push(Target {
                from,
                to,
                proxied: config.live.senders.expects_header(from, to),
            });
        } else {
            let why = "another program listens here and is not attacked: aop has not been \
                       restarted since the configuration was changed, or that program listens on \
                       an address of its own";
            let owners = SocketOwners::find(taking.iter().copied());
            let foreign = taking.iter().filter(|inode| !own.contains(inode));
            others.push(foreign.fold(untried("tls", why).about(listener), |finding, inode| {
                finding.seen(format!("{} listens there", owners.describe(*inode)))
            }));
        }
    }
    (targets, others)
}
