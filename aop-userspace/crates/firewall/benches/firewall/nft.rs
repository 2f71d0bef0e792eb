//! nftables with the same list, in one of three hooks.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use aop_packets::Scene;
use ipnet::IpNet;

use crate::host::{IN, is_there, run, tried};

/// The hook of a rule.
#[derive(Clone, Copy)]
pub(crate) enum Hook {
    Ingress,
    Raw,
    Input,
}

impl Hook {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "nft ingress",
            Self::Raw => "nft raw",
            Self::Input => "nft input",
        }
    }

    fn family(self) -> &'static str {
        match self {
            Self::Ingress => "netdev",
            Self::Raw | Self::Input => "inet",
        }
    }

    fn place(self) -> String {
        match self {
            Self::Ingress => format!("type filter hook ingress device {IN} priority -500"),
            Self::Raw => "type filter hook prerouting priority raw".to_owned(),
            Self::Input => "type filter hook input priority filter".to_owned(),
        }
    }
}

/// A rule that drops packets of sources outside the list. Dropping the value deletes the rule.
pub(crate) struct Rule(Hook);

impl Rule {
    /// Sets the rule.
    ///
    /// # Errors
    /// The reason why nftables cannot be measured here.
    pub(crate) fn set(hook: Hook, list: &[IpNet]) -> Result<Self, String> {
        if !is_there("nft") {
            return Err(format!("{}: nft is not installed (nftables): left out", hook.name()));
        }
        let mut nft = Command::new("nft");
        let started = nft.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut nft = started.unwrap();
        nft.stdin.take().unwrap().write_all(ruleset(hook, list).as_bytes()).unwrap();
        let output = nft.wait_with_output().unwrap();
        if output.status.success() {
            return Ok(Self(hook));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = said.lines().next().unwrap_or_default();
        Err(format!("{}: {first}: left out", hook.name()))
    }

    /// How many packets the rule has dropped.
    pub(crate) fn dropped(&self) -> u64 {
        let text = tried(&format!("nft list table {} bench", self.0.family())).unwrap();
        let counts = text.split("packets ").skip(1);
        counts.map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        run(&format!("nft delete table {} bench", self.0.family()));
    }
}

fn ruleset(hook: Hook, list: &[IpNet]) -> String {
    let of = |v4| {
        let family = list.iter().filter(move |net| net.addr().is_ipv4() == v4);
        family.map(IpNet::to_string).collect::<Vec<_>>().join(", ")
    };
    let port = Scene::FIXED.guarded;
    format!(
        "table {} bench {{
  set v4 {{ type ipv4_addr; flags interval; elements = {{ {} }} }}
  set v6 {{ type ipv6_addr; flags interval; elements = {{ {} }} }}
  chain c {{
    {};
    tcp dport {port} ip saddr != @v4 counter drop
    tcp dport {port} ip6 saddr != @v6 counter drop
  }}
}}
",
        hook.family(),
        of(true),
        of(false),
        hook.place()
    )
}
