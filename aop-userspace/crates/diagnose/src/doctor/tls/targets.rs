//! Where to attack: aop's own listeners. The configuration may name others, at which another program
//! answers until aop is restarted, and that is none to attack.

use aop_api::Finding;
use aop_config::Config;

use super::{dial::Target, door::loopback};
use crate::doctor::{
    Patient,
    finding::{More, untried},
    host::{held, owners},
};

/// Each configured listener that the running daemon answers at, and why the others are left alone.
pub(super) fn targets(patient: &Patient, config: &Config) -> (Vec<Target>, Vec<Finding>) {
    let status = &patient.status;
    let processes = status.daemon.iter().map(|it| it.pid);
    let processes = processes.chain(status.terminator.iter().map(|it| it.pid));
    let processes = processes.chain(status.predecessors.iter().map(|it| it.pid));
    let own: Vec<u64> = processes.flat_map(held).collect();
    let (mut targets, mut others) = (Vec::new(), Vec::new());
    for listener in &config.fixed.listeners {
        let from = loopback(*listener);
        let mut to = *listener;
        if to.ip().is_unspecified() {
            to.set_ip(from);
        }
        let taking: Vec<u64> = patient.sockets.taking(to).iter().map(|it| it.inode).collect();
        if taking.is_empty() {
            let why = "nobody listens there: aop was not restarted since the configuration changed";
            others.push(untried("tls", why).about(listener));
        } else if taking.iter().all(|inode| own.contains(inode)) {
            targets.push(Target { from, to, proxied: config.live.senders.expect(from, to) });
        } else {
            let why = "another program has this port, and is not attacked: aop was not restarted since \
                       the configuration changed, or that program listens on an address of its own";
            let named = owners(&taking);
            let foreign = taking.iter().filter(|inode| !own.contains(inode));
            let name = |inode| named.get(inode).map_or("a program that cannot be seen", |it| it);
            others.push(foreign.fold(untried("tls", why).about(listener), |finding, inode| {
                finding.seen(format!("{} listens there", name(inode)))
            }));
        }
    }
    (targets, others)
}
