//! Optional rules: what they leave alone, and how they stand where nobody switched them on.

use aop_common::{
    Address, Bytes, Decision, DropReason, Facts, Flow, PassReason, Standing, TcpStep, Trust,
    Verdict, decide, judge,
};
use aop_packets::{
    Fixture, HostFacts, Scene,
    build::{Ip, Ipv4, Tcp},
};

const SCENE: Scene = Scene::FIXED;

fn fixtures() -> Vec<Fixture> {
    aop_packets::fixtures().expect("the data files are sound")
}

/// The facts of a host, without an answer to any question that has a default.
struct Required(HostFacts);

impl Facts for Required {
    fn guarded(&self, port: u16) -> bool {
        self.0.guarded(port)
    }

    fn standing(&self, source: Address) -> Standing {
        self.0.standing(source)
    }

    fn authenticated(&self, source: Address) -> bool {
        self.0.authenticated(source)
    }

    fn transit(&self, flow: Flow) -> bool {
        self.0.transit(flow)
    }
}

#[test]
fn a_rule_that_nobody_switched_on_is_off() {
    let facts = Required(SCENE.facts());
    for Fixture { name, frame, verdict, .. } in fixtures() {
        assert_eq!(judge(&Bytes(&frame), &facts), verdict, "{name}");
    }
}

/// The facts of a host that trusts every source.
struct Trusting(HostFacts, Trust);

impl Facts for Trusting {
    fn guarded(&self, port: u16) -> bool {
        self.0.guarded(port)
    }

    fn standing(&self, source: Address) -> Standing {
        self.0.standing(source)
    }

    fn authenticated(&self, source: Address) -> bool {
        self.0.authenticated(source)
    }

    fn transit(&self, flow: Flow) -> bool {
        self.0.transit(flow)
    }

    fn trust(&self, _: Address, _: TcpStep) -> Trust {
        self.1
    }
}

#[test]
fn trust_and_probation_let_only_whole_and_sound_tcp_pass() {
    for (trust, passes) in
        [(Trust::Authenticated, PassReason::Proven), (Trust::Probation, PassReason::Probation)]
    {
        let facts = Trusting(SCENE.facts(), trust);
        for Fixture { name, frame, verdict, .. } in fixtures() {
            let expected = match verdict {
                Verdict::Drop(DropReason::UnknownSource) => Verdict::Pass(passes),
                Verdict::Drop(_) | Verdict::Pass(_) => verdict,
            };
            assert_eq!(judge(&Bytes(&frame), &facts), expected, "{name}");
        }
    }
}

#[test]
fn a_decision_names_the_port_only_where_it_is_known_and_guarded() {
    let header = Ipv4::between(SCENE.v4.stranger, SCENE.v4.origin);
    let to = |port| header.tcp(&Tcp::syn(port));
    let piece = header.clone().fragment(0, true).tcp(&Tcp::syn(SCENE.guarded));
    let not_guarded = Verdict::Pass(PassReason::NotGuarded);
    let unknown_source = Verdict::Drop(DropReason::UnknownSource);
    for (frame, verdict, port) in [
        (to(SCENE.guarded), unknown_source, Some(SCENE.guarded)),
        (to(SCENE.unguarded), not_guarded, None),
        (piece, Verdict::Drop(DropReason::Fragment), None),
    ] {
        assert_eq!(decide(&Bytes(&frame), &SCENE.facts()), Decision { verdict, port });
    }
}
