//! What a daemon can be asked. A verb is a variant here and an arm where the daemon answers.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// One line of JSON on the control socket: `{"verb": "status"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The status document, [`Status`](super::Status).
    Status,
    /// Who is admitted, [`Admitted`](super::Admitted).
    Prefixes,
    /// Which client certificates were presented, [`Identities`](super::Identities).
    Identities,
    /// Every peer on record, [`Peers`](super::Peers).
    Peers,
    /// Read or fetch the prefix list now; [`Refreshed`](super::Refreshed).
    RefreshPrefixes {
        /// What to do with it.
        then: Then,
    },
    /// Do what SIGHUP does; [`Reloaded`](super::Reloaded).
    Reload,
    /// Make last what a switch said for a time; [`ModesInForce`](super::ModesInForce).
    Confirm,
    /// Admit a network for a time; [`OpeningsInForce`](super::OpeningsInForce).
    Open {
        /// The CIDR.
        network: IpNet,
        /// For how long.
        seconds: u64,
    },
    /// End that before its time; [`OpeningsInForce`](super::OpeningsInForce).
    Close {
        /// The CIDR.
        network: IpNet,
    },
    /// Switch modes; [`ModesInForce`](super::ModesInForce).
    Mode(Switch),
    /// Hand over to a new process of the program as it is on disk now; [`Upgraded`](super::Upgraded).
    Upgrade,
}

/// Which modes become what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// What they become.
    pub to: Wish,
    /// Guarded ports whose own mode is meant.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Guarded interfaces whose own mode is meant. Neither these nor ports nor sites: the general mode;
    /// by default, everything that was ever said of packets.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Sites that are meant, by their name or a host of theirs, and nothing of packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// For how long it counts, unless it is confirmed; `null`: until it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_seconds: Option<u64>,
    /// How many pulls with the right certificate confirm it, too; `null`: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_pulls: Option<u64>,
    /// Whether `enforce` counts though real pulls would be cut, as far as what was observed tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl Switch {
    /// Of the general mode, until it is said otherwise.
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

/// What a mode becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Drops are counted, and pass.
    Observe,
    /// Drops are carried out.
    Enforce,
    /// Whatever it is without the operator's word.
    Default,
}

/// What becomes of a list that was fetched on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is only compared with what is in force.
    Compare,
    /// It is applied.
    Apply,
    /// It is applied though it removes much.
    ApplyShrunk,
}

impl Request {
    /// How long the answer may take.
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
            // A fetch takes ten seconds at most, and the list is then applied and kept.
            Self::RefreshPrefixes { .. } => Duration::from_secs(20),
            // One that is under way comes first, and each waits for half a minute at most until the
            // terminator has prepared itself.
            Self::Reload => Duration::from_secs(75),
            // A refresh that is under way, and then the new process's start.
            Self::Upgrade => Duration::from_secs(120),
        }
    }

    /// Whether it is answered from what is known already: nothing changes, and nothing is fetched.
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

    /// Whether something becomes another than it was: who asks for that is recorded.
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

    /// Whether the answer comes though the daemon stops: it is the reason, or is cut short by that.
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

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// The answer to `request`. May block, for less than the request's patience.
    fn answer(&self, request: Request, asker: Asker) -> Answer;
}

/// Who asks, as the kernel says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The user.
    pub uid: u32,
    /// The process; `None` where it is in a namespace that this one cannot see.
    pub pid: Option<i32>,
}

impl Asker {
    /// aop itself.
    #[must_use]
    pub fn own() -> Self {
        Self { uid: nix::unistd::geteuid().as_raw(), pid: i32::try_from(std::process::id()).ok() }
    }
}

/// One document, or why there is none: the line that goes back.
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
    /// This document.
    #[must_use]
    pub fn of(document: &impl Serialize) -> Self {
        line(&Envelope::Ok(document)).unwrap_or_else(|error| Self::refused(error.to_string()))
    }

    /// No document.
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

/// Reads a request from a line without its end.
pub(super) fn parse(line: &[u8]) -> Result<Request, String> {
    serde_json::from_slice(line).map_err(|error| {
        format!("not a request that aop {} knows: {error}", env!("CARGO_PKG_VERSION"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_they_look_like_on_the_wire() {
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
    fn what_is_no_request_is_refused_and_told() {
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
            let told = parse(line.as_bytes()).expect_err(line);
            assert!(told.contains("not a request"), "{told}");
        }
    }
}
