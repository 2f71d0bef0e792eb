//! The rules of this host's packet filters, and what they do with a packet: nftables, and iptables,
//! which ufw, firewalld and Docker use.
//!
//! The model knows what decides about a new TCP connection. Of everything else it knows that it
//! does not know it: [`Certainty::Maybe`]. A verdict is only given where it is certain.

mod condition;
mod iptables;
mod nft;
#[cfg(test)]
mod tests;
mod walk;

use std::process::Command;

use self::condition::{Certainty, Condition, Field, Value};
pub(crate) use self::walk::{Packet, Verdict};

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    chains: Vec<Chain>,
}

/// A chain of rules.
#[derive(Debug)]
struct Chain {
    /// The table, which bounds the jumps of its rules.
    table: String,
    name: String,
    /// `None`: the chain is reached by jumps alone.
    base: Option<Base>,
    rules: Vec<Rule>,
}

/// The place of a chain on the way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base {
    hook: Hook,
    kind: Kind,
    /// Whether the chain drops what no rule decides.
    drops: bool,
    /// `None`: both families.
    is_v4: Option<bool>,
}

/// The places of interest on the way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting,
    Input,
    Postrouting,
}

/// The type of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Filter,
    Nat,
}

#[derive(Debug)]
struct Rule {
    conditions: Vec<Condition>,
    action: Action,
    /// Whether the packet gets no connection state (`notrack`).
    untracks: bool,
}

/// The action of a rule whose conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// It goes on with the next rule.
    Nothing,
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
    /// It changes the destination.
    Redirect(Redirect),
    /// It changes the source.
    Source(SourcePorts),
    /// Something else that may end the way through the chain.
    Unknown,
}

/// A new destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// `None`: this host.
    pub(crate) address: Option<std::net::IpAddr>,
    /// `None`: the port stays.
    pub(crate) port: Option<u16>,
}

/// The source ports that address translation may give to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourcePorts {
    /// `None`: the kernel's, which is 1024 to 65535 for a port in that range.
    pub(crate) range: Option<(u16, u16)>,
    /// Whether each connection gets a random port, and not its own where that is free.
    pub(crate) random: bool,
}

impl Ruleset {
    /// The rules of this network namespace. `None` if the host has no program that lists them.
    pub(crate) fn read() -> Option<Self> {
        let nft = output(&["nft", "-j", "list", "ruleset"]);
        let tables = [output(&["iptables-save"]), output(&["ip6tables-save"])];
        if nft.is_none() && tables.iter().all(Option::is_none) {
            return None;
        }
        let mut rules = nft.and_then(|text| nft::parse(&text)).unwrap_or_default();
        for (text, is_v4) in tables.iter().zip([true, false]) {
            rules.chains.extend(text.iter().flat_map(|text| iptables::parse(text, is_v4)));
        }
        Some(rules)
    }

    /// The rules that `iptables-save` prints.
    #[cfg(test)]
    pub(crate) fn of_iptables(text: &str) -> Self {
        Self { chains: iptables::parse(text, true) }
    }

    /// The source ports of every rule that translates addresses on the way out.
    pub(crate) fn source_ports(&self) -> Vec<SourcePorts> {
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let ports = rules.filter_map(|rule| match &rule.action {
            Action::Source(ports) => Some(*ports),
            Action::Nothing
            | Action::Accept
            | Action::Drop
            | Action::Return
            | Action::Jump(_)
            | Action::Goto(_)
            | Action::Redirect(_)
            | Action::Unknown => None,
        });
        ports.collect()
    }

    /// Each destination port that a rule names, alone or as an end of a range.
    pub(crate) fn named_ports(&self) -> Vec<u16> {
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let conditions = rules.flat_map(|rule| &rule.conditions);
        let values = conditions.filter(|it| it.field == Field::Port).flat_map(|it| &it.values);
        let mut ports: Vec<u16> = values.flat_map(Value::ports).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// The standard output of a program, if it exists and succeeds.
fn output(line: &[&str]) -> Option<String> {
    let (program, arguments) = line.split_first()?;
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
