//! The two parts of the demo: the two locks, and the data that they share.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::pki::Credentials;
use aop_tests::{
    AopToml, IpVersion, Lab, Pull, PullOutcome, TestDaemon, TestUpstream, cloudflare, pull, wait,
};

use crate::claim_table::ClaimTable;
use crate::interrupt::Interrupt;
use crate::maps;

/// A pull and its expected outcome.
struct Attempt {
    who: &'static str,
    over: IpVersion,
    what: &'static str,
    expected: &'static str,
    held: fn(&PullOutcome) -> bool,
    pull: Pull,
}

/// Builds a lab, runs both parts and reports the outcomes.
pub(crate) fn run(interrupt: &Interrupt) -> Result<ClaimTable> {
    println!("Building the namespaces and a PKI …");
    let lab = Lab::new()?;
    let list = lab.dir().join("prefixes.txt");
    std::fs::write(&list, cloudflare::list())?;
    interrupt.check()?;

    println!("Starting an upstream on the origin, and aop in enforce mode in front of it …");
    let upstream = TestUpstream::start(&lab)?;
    let mut config = AopToml::new(&lab);
    config.prefixes = PrefixesTable::File(list.clone());
    let daemon = TestDaemon::start(&lab, &config)?;
    interrupt.check()?;

    let mut report = ClaimTable::default();
    println!("\nPart one: the two locks. Pulling …\n");
    part_one(&lab, &upstream, &mut report)?;
    println!("{report}");
    interrupt.check()?;

    println!(
        "Part two: the locks share data. The prefix of the edge is withdrawn from the list …\n"
    );
    let mut second = ClaimTable::default();
    part_two(&lab, &daemon, &list, &upstream, &mut second)?;
    println!("{second}");
    interrupt.check()?;

    println!("The content of the shared maps:\n\n{}", maps::describe(&daemon.status()?)?);
    Ok(report.and(second))
}

fn part_one(lab: &Lab, upstream: &TestUpstream, report: &mut ClaimTable) -> Result<()> {
    let served = IpVersion::BOTH.map(|over| Attempt {
        who: "the edge",
        over,
        what: "its own certificate",
        expected: "served",
        held: PullOutcome::served,
        pull: Pull::by_edge(lab, over),
    });
    send_all(&served, report)?;
    let seen = upstream.count()?;
    let held = seen == served.len();
    report.claim("the upstream", "both", "(counts connections)", "2", seen, held);

    let refused: Vec<Attempt> =
        IpVersion::BOTH.into_iter().flat_map(|over| refusals(lab, over)).collect();
    send_all(&refused, report)?;
    upstream_saw_nothing(upstream, seen, report)
}

/// All pulls that must not be served, over one IP version.
fn refusals(lab: &Lab, over: IpVersion) -> Vec<Attempt> {
    let edge = |what, pull: Pull| Attempt {
        who: "the edge",
        over,
        what,
        expected: "refused",
        held: PullOutcome::refused,
        pull,
    };
    let with = |credentials: &Credentials| Pull::by_edge(lab, over).certificate(credentials);
    vec![
        edge("no certificate", Pull::by_edge(lab, over).no_certificate()),
        edge("another CA's certificate", with(&lab.pki.foreign)),
        edge("a server's certificate", with(&lab.pki.wrong_usage)),
        edge(
            "a name that is no site",
            Pull::by_edge(lab, over).host("unknown.example").option("--insecure"),
        ),
        Attempt {
            who: "the stranger",
            over,
            what: "the edge's certificate",
            expected: "silence",
            held: PullOutcome::silent,
            pull: Pull::by_stranger(lab, over),
        },
    ]
}

fn part_two(
    lab: &Lab,
    daemon: &TestDaemon,
    list: &Path,
    upstream: &TestUpstream,
    report: &mut ClaimTable,
) -> Result<()> {
    let before = daemon.status()?.generation()?;
    std::fs::write(list, cloudflare::list_without_edge())?;
    daemon.reload()?;
    wait::until("the firewall has the new list", Duration::from_secs(5), || {
        daemon.status().and_then(|status| status.generation()).ok().filter(|now| *now > before)
    })?;

    let tries = IpVersion::BOTH.map(|over| {
        let authenticated = Attempt {
            who: "the edge",
            over,
            what: "the address that has authenticated",
            expected: "served while it drains",
            held: PullOutcome::served,
            pull: Pull::by_edge(lab, over),
        };
        let neighbour = Attempt {
            who: "its neighbour",
            over,
            what: "an address that has not",
            expected: "silence",
            held: PullOutcome::silent,
            pull: Pull::by_edge(lab, over).source(lab.neighbour_address(over)).brief(),
        };
        [authenticated, neighbour]
    });
    let seen = upstream.count()?;
    send_all(tries.as_flattened(), report)?;
    upstream_saw_nothing(upstream, seen + IpVersion::BOTH.len(), report)
}

/// Sends all pulls at once and reports each.
fn send_all(tries: &[Attempt], report: &mut ClaimTable) -> Result<()> {
    let pulls: Vec<Pull> = tries.iter().map(|one| one.pull.clone()).collect();
    let outcomes = pull::send_all(&pulls)?;
    ensure!(outcomes.len() == tries.len(), "an outcome is missing");
    for (one, outcome) in tries.iter().zip(&outcomes) {
        let Attempt { who, over, what, expected, held, .. } = one;
        report.claim(who, over, what, expected, outcome, held(outcome));
    }
    Ok(())
}

fn upstream_saw_nothing(
    upstream: &TestUpstream,
    expected: usize,
    report: &mut ClaimTable,
) -> Result<()> {
    let more = upstream.count()?.saturating_sub(expected);
    let expected = "no connection of these pulls";
    let happened = if more == 0 { "none".into() } else { format!("{more}") };
    report.claim("the upstream", "both", "(counts connections)", expected, happened, more == 0);
    Ok(())
}
