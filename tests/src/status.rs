//! The document of `aop status --json`, read by the stable names of its fields.
//!
//! Scripts of operators rely on these fields, so a missing field is an error and not a zero. A
//! *reason* that is not listed has the count zero.

use std::net::IpAddr;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

/// A parsed status.
#[derive(Clone, Debug)]
pub struct StatusJson(Value);

impl StatusJson {
    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(json);
        Ok(Self(serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?))
    }

    /// The whole document.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    fn list(&self, pointer: &str) -> Result<&Vec<Value>> {
        let found = self.0.pointer(pointer).and_then(Value::as_array);
        found.ok_or_else(|| anyhow!("no list {pointer} in {}", self.0))
    }

    fn number(&self, pointer: &str) -> Result<u64> {
        let found = self.0.pointer(pointer).and_then(Value::as_u64);
        found.ok_or_else(|| anyhow!("no number {pointer} in {}", self.0))
    }

    /// Packets with this action and reason on all interfaces.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn packets(&self, action: &str, reason: &str) -> Result<u64> {
        let matching =
            self.verdicts()?.into_iter().filter(|v| v.action == action && v.reason == reason);
        Ok(matching.map(|verdict| verdict.packets).sum())
    }

    /// Every verdict counter that is not zero.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn verdicts(&self) -> Result<Vec<VerdictCount>> {
        let read = |verdict: &Value| {
            Ok(VerdictCount {
                interface: text(verdict, "interface")?,
                action: text(verdict, "action")?,
                reason: text(verdict, "reason")?,
                packets: count(verdict, "packets")?,
                bytes: count(verdict, "bytes")?,
            })
        };
        self.list("/verdicts")?.iter().map(read).collect()
    }

    /// Handshakes that became an origin pull.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn accepted(&self) -> Result<u64> {
        self.number("/handshakes/accepted")
    }

    /// Connections that were refused for this reason, at all sites.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn refused(&self, reason: &str) -> Result<u64> {
        let counts = self.refusals()?.into_iter().filter(|(met, _)| met == reason);
        Ok(counts.map(|(_, count)| count).sum())
    }

    /// The reasons for which connections were refused, with their counts: an entry for each site.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn refusals(&self) -> Result<Vec<(String, u64)>> {
        let read = |entry: &Value| Ok((text(entry, "reason")?, count(entry, "count")?));
        self.list("/handshakes/refused")?.iter().map(read).collect()
    }

    /// The part of [`refusals`](Self::refusals) that came from admitted addresses.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn refusals_from_admitted(&self) -> Result<Vec<(String, u64)>> {
        let read = |entry: &Value| Ok((text(entry, "reason")?, count(entry, "count")?));
        self.list("/handshakes/refused_from_admitted")?.iter().map(read).collect()
    }

    /// Requests that an upstream answered.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn relayed(&self) -> Result<u64> {
        self.number("/requests/relayed")
    }

    /// The reasons for which requests were refused, with their counts: an entry for each site.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn denials(&self) -> Result<Vec<(String, u64)>> {
        let read = |entry: &Value| Ok((text(entry, "reason")?, count(entry, "count")?));
        self.list("/requests/refused")?.iter().map(read).collect()
    }

    /// The authenticated peers.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn peers(&self) -> Result<Vec<PeerEntry>> {
        let read = |peer: &Value| {
            Ok(PeerEntry {
                address: text(peer, "address")?.parse()?,
                site: peer["site"].as_str().map(str::to_owned),
                handshakes: count(peer, "handshakes")?,
            })
        };
        self.list("/peers")?.iter().map(read).collect()
    }

    /// The generation of the prefix set. Each change increases it.
    ///
    /// # Errors
    /// When the field is missing.
    pub fn generation(&self) -> Result<u64> {
        self.number("/prefixes/generation")
    }

    /// How often `address` has authenticated.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn handshakes_of(&self, address: IpAddr) -> Result<u64> {
        let found = self.peers()?.into_iter().find(|peer| peer.address == address);
        Ok(found.map_or(0, |peer| peer.handshakes))
    }

    /// Whether the firewall enforces on `interface`.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn enforcing(&self, interface: &str) -> Result<bool> {
        Ok(self.interface(interface)?.is_some_and(|found| found.enforcing))
    }

    /// The entry of the interface `name`. `None` if aop does not guard it.
    ///
    /// # Errors
    /// When a field is missing, or they contradict each other.
    pub fn interface(&self, name: &str) -> Result<Option<InterfaceEntry>> {
        let mut all = self.list("/interfaces")?.iter();
        let Some(found) = all.find(|entry| entry["name"] == name) else { return Ok(None) };
        let state = text(found, "state")?;
        let attach = found["attach"].as_str().map(str::to_owned);
        let flag = |name| found[name].as_bool().ok_or_else(|| anyhow!("no {name} in {found}"));
        let attached = flag("attached")?;
        ensure!(attached == (state == "attached") && attached == attach.is_some(), "{found}");
        Ok(Some(InterfaceEntry { state, attach, enforcing: flag("enforcing")? }))
    }

    /// Packets that `interface` dropped.
    ///
    /// # Errors
    /// When a field is missing.
    pub fn dropped_on(&self, interface: &str) -> Result<u64> {
        let verdicts = self.verdicts()?.into_iter();
        let drops = verdicts.filter(|v| v.interface == interface && v.action == "drop");
        Ok(drops.map(|verdict| verdict.packets).sum())
    }

    /// The process id of the terminator, if one runs.
    ///
    /// # Errors
    /// When the field is missing.
    pub fn terminator(&self) -> Result<Option<u32>> {
        let found =
            self.0.get("terminator").with_context(|| format!("no terminator: {}", self.0))?;
        found["pid"].as_u64().map(u32::try_from).transpose().map_err(Into::into)
    }

    /// The warnings for the operator.
    ///
    /// # Errors
    /// When the field is missing.
    pub fn warnings(&self) -> Result<Vec<String>> {
        let text = |warning: &Value| warning.as_str().map(str::to_owned).context("no text");
        self.list("/warnings")?.iter().map(text).collect()
    }
}

/// An interface that aop guards, or should guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceEntry {
    /// `attached`, `missing`, `foreign` or `detached`.
    pub state: String,
    /// `native` or `generic`, if it is attached.
    pub attach: Option<String>,
    /// Whether the firewall enforces on it.
    pub enforcing: bool,
}

/// A counter of the firewall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictCount {
    /// The interface's name.
    pub interface: String,
    /// `pass`, `drop` or `would_drop`.
    pub action: String,
    /// The stable name of the reason.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames.
    pub bytes: u64,
}

/// An authenticated peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    /// The address.
    pub address: IpAddr,
    /// The site of its last handshake. None if the configuration no longer has that site.
    pub site: Option<String>,
    /// The number of handshakes.
    pub handshakes: u64,
}

fn text(value: &Value, field: &str) -> Result<String> {
    value[field].as_str().map(str::to_owned).ok_or_else(|| anyhow!("no text {field} in {value}"))
}

fn count(value: &Value, field: &str) -> Result<u64> {
    value[field].as_u64().ok_or_else(|| anyhow!("no number {field} in {value}"))
}
