//! A steady load of several visitors, while aop, its certificates or the application change.

mod disturbance;
mod racer;
mod server;
mod steady;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::disturbance::Disturbance;
use self::racer::Racer;
use self::server::WebServer;
use self::steady::Tally;
use crate::network::{APPLICATION, Network, Way};
use crate::report::Report;

/// At most this many lost requests are printed.
const SHOWN: usize = 3;
/// The ports of the applications of the load.
const SERVER: u16 = 8081;
const RACER: u16 = 8082;

/// The time from one request of a visitor to its next.
const EVERY: Duration = Duration::from_millis(40);

/// Runs the load once for each disturbance whose name contains `filter`, over both protocols at the
/// same time.
///
/// # Errors
/// When a server cannot be started, or aop refuses a change.
pub(crate) fn run(
    network: &mut Network,
    each: Duration,
    filter: &str,
    report: &mut Report,
) -> Result<()> {
    let server = WebServer::start(&network.lab, SERVER)?;
    let racer = Racer::start(&network.lab, RACER)?;
    for disturbance in Disturbance::ALL.into_iter().filter(|own| own.name().contains(filter)) {
        let port = if disturbance == Disturbance::Race { RACER } else { SERVER };
        network.relay_to(port)?;
        let logs = |network: &Network| {
            Way::THROUGH_AOP.map(|way| (network.sent_again(way).len(), network.given_up(way).len()))
        };
        let before = logs(network);
        let end = Instant::now() + each;
        let hosts = Way::THROUGH_AOP.map(|_| network.lab.edge().clone());
        let (tallies, disturbed) = std::thread::scope(|scope| {
            let loads: Vec<_> = Way::THROUGH_AOP
                .iter()
                .zip(&hosts)
                .map(|(way, host)| {
                    scope.spawn(move || steady::visit(host, way.address(), EVERY, end))
                })
                .collect();
            let disturbed = disturbance.go_on(network, &server, end);
            let tallies: Vec<_> = loads.into_iter().map(|load| load.join()).collect();
            (tallies, disturbed)
        });
        let times = disturbed.context(disturbance.name())?;
        for ((way, tally), before) in Way::THROUGH_AOP.iter().zip(tallies).zip(before) {
            let tally = tally.ok().context("a visitor panicked")?;
            let again = network.sent_again(*way).len() - before.0;
            let mut faults = disturbance.faults(&tally, times);
            if !faults.is_empty() {
                let given_up = network.given_up(*way).into_iter().skip(before.1);
                faults.extend(given_up.take(SHOWN).map(|line| format!("edge: {line}")));
            }
            if disturbance == Disturbance::Race {
                faults.extend(racer.faults());
            }
            let name = format!("{}, {}", disturbance.name(), way.name());
            report.scenario(&name, &figures(&tally, again), &faults);
        }
    }
    network.relay_to(APPLICATION)
}

/// At most 35 columns.
fn figures(tally: &Tally, again: usize) -> String {
    let (sent, slowest) = (tally.sent(), tally.slowest().as_millis());
    let (gets, posts) = (tally.lost_gets().len(), tally.lost_posts().len());
    format!("{sent}, {gets}+{posts} lost, {again} again, {slowest} ms")
}
