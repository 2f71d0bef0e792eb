//! Who answers a request, and how an answer and a request stand on the wire.

use aop_api::Request;
use serde::{Deserialize, Serialize};

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
    use aop_api::{Switch, Then, Wish};

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
