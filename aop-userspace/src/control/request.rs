//! The requests that a daemon accepts. A new verb is a variant here and an arm where the daemon
//! answers.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One line of JSON on the control socket: `{"verb": "status"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The status document, [`Status`](super::Status).
    Status,
    /// The admitted prefixes, [`Admitted`](super::Admitted).
    Prefixes,
    /// The client certificates that were presented, [`Identities`](super::Identities).
    Identities,
    /// Every authenticated peer on record, [`Peers`](super::Peers).
    Peers,
    /// Read or fetch the prefix list now; [`Refreshed`](super::Refreshed).
    RefreshPrefixes {
        /// What to do with the list.
        then: Then,
    },
    /// The same as SIGHUP; [`Reloaded`](super::Reloaded).
    Reload,
    /// Make a temporary mode override permanent; [`ModesInForce`](super::ModesInForce).
    Confirm,
    /// Admit a network for a time; [`OpeningsInForce`](super::OpeningsInForce).
    Open {
        /// The CIDR.
        network: IpNet,
        /// Seconds until the opening expires.
        seconds: u64,
    },
    /// Close an opening before it expires; [`OpeningsInForce`](super::OpeningsInForce).
    Close {
        /// The CIDR.
        network: IpNet,
    },
    /// Set or remove mode overrides; [`ModesInForce`](super::ModesInForce).
    Mode(Switch),
    /// Hand over to a new process of the program that is on disk now;
    /// [`Upgraded`](super::Upgraded).
    Upgrade,
}

/// A change of mode overrides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// The new mode.
    pub to: Wish,
    /// Guarded ports whose override it sets.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Guarded interfaces whose override it sets. Without ports, interfaces and sites it sets the
    /// general mode; then `default` removes all overrides of packets.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Sites whose override it sets, by name or by one of their hosts. It then sets none of
    /// packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// Seconds after which it expires unless it is confirmed; `null`: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_seconds: Option<u64>,
    /// Number of authenticated pulls that confirm it, too; `null`: pulls do not confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_pulls: Option<u64>,
    /// Whether to enforce although the preflight finds that real pulls would be refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl Switch {
    /// The general mode, without expiry.
    #[must_use]
    pub const fn to(to: Wish) -> Self {
        Self {
            to,
            ports: Vec::new(),
            interfaces: Vec::new(),
            sites: Vec::new(),
            confirm_seconds: None,
            confirm_pulls: None,
            force: false,
        }
    }
}

/// The mode that an override sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Packets and peers that would be refused are counted, and pass.
    Observe,
    /// They are refused.
    Enforce,
    /// The override is removed, so that the configuration counts again.
    Default,
}

/// What to do with a list that was fetched on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Compare it with the list in force.
    Compare,
    /// Apply it.
    Apply,
    /// Apply it although it removes many prefixes.
    ApplyShrunk,
}

impl Request {
    /// How long the client waits for the answer.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. } => Duration::from_secs(5),
            // A fetch takes at most ten seconds; then the list is applied and stored.
            Self::RefreshPrefixes { .. } => Duration::from_secs(20),
            // Two reloads, since another may be under way. Each waits up to 30 s for the terminator
            // to prepare.
            Self::Reload => Duration::from_secs(75),
            // A refresh that is under way, and the start of the new process.
            Self::Upgrade => Duration::from_secs(120),
        }
    }

    /// Whether the daemon answers from what it has: nothing changes, and nothing is fetched.
    #[must_use]
    pub fn reads(&self) -> bool {
        match self {
            Self::Status | Self::Prefixes | Self::Peers | Self::Identities => true,
            Self::RefreshPrefixes { .. }
            | Self::Reload
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Upgrade => false,
        }
    }

    /// Whether it changes something. The daemon records such requests in the audit log.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::RefreshPrefixes { then: Then::Compare } => false,
            Self::RefreshPrefixes { then: Then::Apply | Then::ApplyShrunk }
            | Self::Reload
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Upgrade => true,
        }
    }

    /// Whether the client gets the answer although the daemon is stopping. True for the request
    /// that causes the stop.
    pub(super) fn ends_by_itself(&self) -> bool {
        match self {
            Self::Upgrade => true,
            Self::Status
            | Self::Prefixes
            | Self::Identities
            | Self::Peers
            | Self::Mode(_)
            | Self::Confirm
            | Self::Open { .. }
            | Self::Close { .. }
            | Self::Reload
            | Self::RefreshPrefixes { .. } => false,
        }
    }
}

/// The daemon's side of the admin API.
pub trait Answers: Send + Sync + 'static {
    /// Answers `request`. May block, for less than the time that the client waits.
    fn answer(&self, request: Request, asker: Asker) -> Answer;
}

/// The client, as the kernel identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The user id.
    pub uid: u32,
    /// The process id; `None` where it lies in a PID namespace that is not visible here.
    pub pid: Option<i32>,
}

impl Asker {
    /// aop itself.
    #[must_use]
    pub fn own() -> Self {
        Self { uid: nix::unistd::geteuid().as_raw(), pid: i32::try_from(std::process::id()).ok() }
    }
}

/// The line that goes back: one document, or why there is none.
#[derive(Debug)]
pub struct Answer(Vec<u8>);

/// An answer on the wire: `{"ok": …}` or `{"error": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Envelope<T> {
    Ok(T),
    Error(String),
}

impl Answer {
    /// An answer with this document.
    #[must_use]
    pub fn of(document: &impl Serialize) -> Self {
        line(&Envelope::Ok(document)).unwrap_or_else(|error| Self::refused(error.to_string()))
    }

    /// A refusal.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        line(&Envelope::<()>::Error(why.into())).unwrap_or_else(|_| Self(Vec::new()))
    }

    pub(super) fn line(self) -> Vec<u8> {
        self.0
    }
}

fn line(envelope: &Envelope<impl Serialize>) -> serde_json::Result<Answer> {
    let mut line = serde_json::to_vec(envelope)?;
    line.push(b'\n');
    Ok(Answer(line))
}

/// Parses a line without its newline.
pub(super) fn parse(line: &[u8]) -> Result<Request, String> {
    serde_json::from_slice(line).map_err(|error| {
        format!("not a request that aop {} knows: {error}", env!("CARGO_PKG_VERSION"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_their_documented_form_on_the_wire() {
        let refresh = Request::RefreshPrefixes { then: Then::ApplyShrunk };
        let (ports, interfaces) = (vec![443], vec!["eth0".to_owned()]);
        let to = Wish::Default;
        let switch = Request::Mode(Switch { ports, interfaces, ..Switch::to(to) });
        for (request, line) in [
            (Request::Status, r#"{"verb":"status"}"#),
            (Request::Peers, r#"{"verb":"peers"}"#),
            (Request::Reload, r#"{"verb":"reload"}"#),
            (Request::Upgrade, r#"{"verb":"upgrade"}"#),
            (refresh, r#"{"verb":"refresh_prefixes","then":"apply_shrunk"}"#),
            (switch, r#"{"verb":"mode","to":"default","ports":[443],"interfaces":["eth0"]}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).expect("JSON"), line);
            assert_eq!(parse(line.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn a_malformed_request_is_refused_with_a_reason() {
        for line in [
            "status",
            "",
            "{}",
            r#"{"verb":"stat"}"#,
            r#"{"verb":"refresh_prefixes"}"#,
            r#"{"verb":"mode"}"#,
            r#"{"verb":"mode","to":"off"}"#,
            r#"{"verb":"mode","to":"enforce","ports":[65536]}"#,
            r#"{"verb":"mode","to":"enforce","port":443}"#,
        ] {
            let why = parse(line.as_bytes()).expect_err(line);
            assert!(why.contains("not a request"), "{why}");
        }
    }
}
