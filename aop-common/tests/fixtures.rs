//! Every row of the packet table, judged on the host.

use std::collections::HashSet;

use aop_common::{Bytes, DropReason, PassReason, Standing, Tally, Verdict, judge};
use aop_packets::{Cidr, Fixture, HostFacts, Rule, Scene};

fn fixtures() -> Vec<Fixture> {
    aop_packets::fixtures().expect("the data files are sound")
}

#[test]
fn every_fixture_gets_its_verdict_under_every_rule_and_under_none() {
    let sets = [&[][..]].into_iter().chain(Rule::ALL.chunks(1)).chain([
        &[Rule::Trusted, Rule::Probation, Rule::Udp][..],
        &[Rule::Forwarding, Rule::Probation, Rule::Spent],
    ]);
    for rules in sets.filter(|rules| !rules.contains(&Rule::Listed)) {
        let facts = Scene::FIXED.facts_under(rules);
        let wrong: Vec<String> = fixtures()
            .iter()
            .filter_map(|fixture| {
                let verdict = judge(&Bytes(&fixture.frame), &facts);
                let expected = fixture.expected(|rule| rules.contains(&rule));
                let Fixture { name, place, frame, .. } = fixture;
                (verdict != expected)
                    .then(|| format!("{place} {name}: {verdict:?}, not {expected:?}; {frame:02x?}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{} wrong under {rules:?}:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn a_source_that_another_prefix_admits_gets_the_verdict_of_the_rule_listed() {
    let mut facts = Scene::FIXED.facts();
    let everybody = |bits| Cidr { network: [0; 16], bits };
    facts.v4.push((Cidr { network: [0; 4], bits: 0 }, Standing::Admitted));
    facts.v6.push((everybody(0), Standing::Admitted));
    let listed = fixtures().into_iter().filter(|it| it.under.iter().any(|it| it.0 == Rule::Listed));
    let mut tried = 0;
    for fixture in listed {
        tried += 1;
        let verdict = judge(&Bytes(&fixture.frame), &facts);
        // The prefix of a peer or of an admitted source is longer than these.
        assert_eq!(verdict, fixture.expected(|rule| rule == Rule::Listed), "{}", fixture.name);
    }
    assert!(tried > 20, "only {tried}");
}

#[test]
fn every_verdict_has_a_fixture() {
    let fixtures = fixtures();
    let under =
        fixtures.iter().flat_map(|fixture| fixture.under.iter().map(|(_, verdict)| *verdict));
    let expected: HashSet<Verdict> =
        fixtures.iter().map(|fixture| fixture.verdict).chain(under).collect();
    for (_, verdict, _) in Tally::all() {
        assert!(expected.contains(&verdict), "{verdict:?}");
    }
}

#[test]
fn with_nothing_guarded_only_the_undecidable_is_dropped() {
    let facts = HostFacts::default();
    for fixture in fixtures() {
        if let Verdict::Pass(reason) = judge(&Bytes(&fixture.frame), &facts) {
            assert_eq!(reason, PassReason::NotGuarded, "{}", fixture.name);
        } else {
            let sound = Verdict::Drop(DropReason::UnknownSource);
            assert_ne!(fixture.verdict, sound, "{}", fixture.name);
        }
    }
}

#[test]
fn without_a_prefix_no_source_reaches_a_guarded_port() {
    let mut facts = Scene::FIXED.facts();
    facts.v4.clear();
    facts.v6.clear();
    for fixture in fixtures() {
        let verdict = judge(&Bytes(&fixture.frame), &facts);
        let not_guarded = Verdict::Pass(PassReason::NotGuarded);
        if fixture.verdict == not_guarded {
            assert_eq!(verdict, not_guarded, "{}", fixture.name);
        } else {
            assert!(matches!(verdict, Verdict::Drop(_)), "{}: {verdict:?}", fixture.name);
        }
    }
}
