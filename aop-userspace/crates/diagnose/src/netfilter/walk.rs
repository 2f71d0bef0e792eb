//! The way of a packet through the chains of a hook.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Action, Certainty, Chain, Hook, Kind, Redirect, Rule, Ruleset};

/// How deep jumps may be nested, as in the kernel.
const MAX_DEPTH: usize = 16;

/// The first packet of a TCP connection from another host to this one.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) interface: String,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) port: u16,
}

impl Packet {
    /// A packet whose source is of the documentation prefixes: no rule names them.
    pub(crate) fn of_stranger(interface: &str, to: IpAddr, port: u16) -> Self {
        let source = match to {
            IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        };
        Self { interface: interface.to_owned(), source, destination: to, port }
    }
}

/// The fate of a packet, as far as it is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No chain drops it for certain.
    Passes,
    /// This chain drops it.
    Dropped(String),
}

/// The end of a packet's way through a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The rule after the jump is next.
    Returns,
    Accepts,
    Drops,
    Redirects(Redirect),
    Unknown,
}

impl Ruleset {
    /// The fate of a packet for this host in the filters.
    pub(crate) fn verdict(&self, packet: &Packet) -> Verdict {
        let hooks = [Hook::Prerouting, Hook::Input];
        let mut chains = hooks.iter().flat_map(|hook| self.at(*hook, Kind::Filter, packet));
        match chains.find(|chain| self.judge(chain, packet) == Outcome::Drops) {
            Some(chain) => Verdict::Dropped(format!("chain {} of {}", chain.name, chain.table)),
            None => Verdict::Passes,
        }
    }

    /// The destination to which address translation sends a packet; `None` if it leaves it alone,
    /// or if that is not certain.
    pub(crate) fn redirect(&self, packet: &Packet) -> Option<Redirect> {
        let mut chains = self.at(Hook::Prerouting, Kind::Nat, packet);
        chains.find_map(|chain| match self.judge(chain, packet) {
            Outcome::Redirects(to) => Some(to),
            Outcome::Returns | Outcome::Accepts | Outcome::Drops | Outcome::Unknown => None,
        })
    }

    fn at<'a>(
        &'a self,
        hook: Hook,
        kind: Kind,
        packet: &Packet,
    ) -> impl Iterator<Item = &'a Chain> + use<'a> {
        let is_v4 = packet.source.is_ipv4();
        self.chains.iter().filter(move |chain| {
            chain.base.is_some_and(|base| {
                base.hook == hook && base.kind == kind && base.is_v4.is_none_or(|it| it == is_v4)
            })
        })
    }

    /// The outcome of a base chain, with its policy.
    fn judge(&self, chain: &Chain, packet: &Packet) -> Outcome {
        let outcome = self.walk(chain, packet, self.tracks(packet), 0);
        if outcome == Outcome::Returns && chain.base.is_some_and(|base| base.drops) {
            Outcome::Drops
        } else {
            outcome
        }
    }

    /// Whether the packet has a connection state for certain.
    fn tracks(&self, packet: &Packet) -> bool {
        let mut rules = self.chains.iter().flat_map(|chain| &chain.rules);
        !rules.any(|it| it.untracks && it.holds(packet, false) != Certainty::No)
    }

    fn walk(&self, chain: &Chain, packet: &Packet, is_tracked: bool, depth: usize) -> Outcome {
        // Whether a rule before may have accepted the packet, or have sent it elsewhere.
        let mut doubt = false;
        for rule in &chain.rules {
            let holds = rule.holds(packet, is_tracked);
            if holds == Certainty::No {
                continue;
            }
            let outcome = match &rule.action {
                Action::Nothing | Action::Source(_) => continue,
                Action::Accept => Outcome::Accepts,
                Action::Drop => Outcome::Drops,
                Action::Redirect(to) => Outcome::Redirects(to.clone()),
                Action::Unknown => Outcome::Unknown,
                Action::Return if holds == Certainty::Yes => break,
                Action::Return => Outcome::Unknown,
                Action::Jump(name) | Action::Goto(name) => {
                    match self.chains.iter().find(|it| it.table == chain.table && it.name == *name)
                    {
                        Some(target) if depth < MAX_DEPTH => {
                            self.walk(target, packet, is_tracked, depth + 1)
                        }
                        Some(_) | None => Outcome::Unknown,
                    }
                }
            };
            match (outcome, holds) {
                (Outcome::Returns, Certainty::Yes) if matches!(rule.action, Action::Goto(_)) => {
                    break;
                }
                (Outcome::Returns, _) => {}
                // That it may be dropped here too changes nothing about what comes later.
                (Outcome::Drops, Certainty::Maybe) => {}
                (Outcome::Unknown, _) | (_, Certainty::Maybe) => doubt = true,
                (outcome, _) if doubt && outcome != Outcome::Accepts => return Outcome::Unknown,
                (outcome, _) => return outcome,
            }
        }
        if doubt { Outcome::Unknown } else { Outcome::Returns }
    }
}

impl Rule {
    fn holds(&self, packet: &Packet, is_tracked: bool) -> Certainty {
        let all = self.conditions.iter().map(|condition| condition.holds(packet, is_tracked));
        all.min().unwrap_or(Certainty::Yes)
    }
}
