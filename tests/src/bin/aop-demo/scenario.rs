//! The two acts: the locks alone, and what they know from each other.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::config::Prefixes;
use aop_tests::pki::Identity;
use aop_tests::{Config, Daemon, Family, Outcome, Pull, Upstream, World, cloudflare, pull, wait};

use crate::interrupt::Interrupt;
use crate::maps;
use crate::report::Report;

/// One pull and what must come of it.
struct Try {
    who: &'static str,
    over: Family,
    what: &'static str,
    expected: &'static str,
    held: fn(&Outcome) -> bool,
    pull: Pull,
}

/// Sets the stage, plays, and says what came of it.
pub(crate) fn run(interrupt: &Interrupt) -> Result<Report> {
    println!("Building the namespaces and a PKI …");
    let world = World::new()?;
    let list = world.dir().join("prefixes.txt");
    std::fs::write(&list, cloudflare::list())?;
    interrupt.check()?;

    println!("Starting an upstream behind the origin, and aop in enforce mode before it …");
    let upstream = Upstream::start(&world)?;
    let mut config = Config::new(&world);
    config.prefixes = Prefixes::File(list.clone());
    let daemon = Daemon::start(&world, &config)?;
    interrupt.check()?;

    let mut report = Report::default();
    println!("\nAct one: the two locks. Pulling …\n");
    act_one(&world, &upstream, &mut report)?;
    println!("{report}");
    interrupt.check()?;

    println!("Act two: the locks share a memory. The edge's prefix is withdrawn from the list …\n");
    let mut second = Report::default();
    act_two(&world, &daemon, &list, &upstream, &mut second)?;
    println!("{second}");
    interrupt.check()?;

    println!("What the shared maps now say:\n\n{}", maps::describe(&daemon.status()?)?);
    Ok(report.and(second))
}

fn act_one(world: &World, upstream: &Upstream, report: &mut Report) -> Result<()> {
    let served = Family::BOTH.map(|over| Try {
        who: "the edge",
        over,
        what: "its own certificate",
        expected: "served",
        held: Outcome::served,
        pull: Pull::by_edge(world, over),
    });
    attempt(&served, report)?;
    let seen = upstream.count()?;
    let held = seen == served.len();
    report.claim("the upstream", "both", "(counts its connections)", "2", seen, held);

    let refused: Vec<Try> =
        Family::BOTH.into_iter().flat_map(|over| refusals(world, over)).collect();
    attempt(&refused, report)?;
    upstream_saw_nothing(upstream, seen, report)
}

/// Everything that must not get through, over one IP version.
fn refusals(world: &World, over: Family) -> Vec<Try> {
    let edge = |what, pull: Pull| Try {
        who: "the edge",
        over,
        what,
        expected: "refused",
        held: Outcome::refused,
        pull,
    };
    let with = |identity: &Identity| Pull::by_edge(world, over).certificate(identity);
    vec![
        edge("no certificate", Pull::by_edge(world, over).no_certificate()),
        edge("another CA's certificate", with(&world.pki.foreign)),
        edge("a server's certificate", with(&world.pki.wrong_usage)),
        edge(
            "a name that is no site",
            Pull::by_edge(world, over).host("unknown.example").option("--insecure"),
        ),
        Try {
            who: "the stranger",
            over,
            what: "the edge's certificate",
            expected: "silence",
            held: Outcome::silent,
            pull: Pull::by_stranger(world, over),
        },
    ]
}

fn act_two(
    world: &World,
    daemon: &Daemon,
    list: &Path,
    upstream: &Upstream,
    report: &mut Report,
) -> Result<()> {
    let before = daemon.status()?.generation()?;
    std::fs::write(list, cloudflare::list_without_edge())?;
    daemon.reload()?;
    wait::until("the packet path has the new list", Duration::from_secs(5), || {
        daemon.status().and_then(|status| status.generation()).ok().filter(|now| *now > before)
    })?;

    let tries = Family::BOTH.map(|over| {
        let proven = Try {
            who: "the edge",
            over,
            what: "the address that has authenticated",
            expected: "served while it drains",
            held: Outcome::served,
            pull: Pull::by_edge(world, over),
        };
        let neighbour = Try {
            who: "its neighbour",
            over,
            what: "an address that never has",
            expected: "silence",
            held: Outcome::silent,
            pull: Pull::by_edge(world, over).source(world.neighbour_address(over)).brief(),
        };
        [proven, neighbour]
    });
    let seen = upstream.count()?;
    attempt(tries.as_flattened(), report)?;
    upstream_saw_nothing(upstream, seen + Family::BOTH.len(), report)
}

/// Makes all pulls at once and reports each.
fn attempt(tries: &[Try], report: &mut Report) -> Result<()> {
    let pulls: Vec<Pull> = tries.iter().map(|one| one.pull.clone()).collect();
    let outcomes = pull::send_all(&pulls)?;
    ensure!(outcomes.len() == tries.len(), "an outcome is missing");
    for (one, outcome) in tries.iter().zip(&outcomes) {
        let Try { who, over, what, expected, held, .. } = one;
        report.claim(who, over, what, expected, outcome, held(outcome));
    }
    Ok(())
}

fn upstream_saw_nothing(upstream: &Upstream, expected: usize, report: &mut Report) -> Result<()> {
    let more = upstream.count()?.saturating_sub(expected);
    let expected = "none of those turned away";
    let happened = if more == 0 { "none".into() } else { format!("{more}") };
    report.claim("the upstream", "both", "(counts its connections)", expected, happened, more == 0);
    Ok(())
}
