//! What a daemon can be asked. A verb is a variant here and an arm where the daemon answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One line of JSON on the control socket: `{"verb": "status"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The status document, [`Status`](super::Status).
    Status,
    /// Who is admitted, [`Admitted`](super::Admitted).
    Prefixes,
    /// Which client certificates were presented, [`Identities`](super::Identities).
    Identities,
    /// Read or fetch the prefix list now; [`Refreshed`](super::Refreshed).
    RefreshPrefixes {
        /// What to do with it.
        then: Then,
    },
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
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Status | Self::Prefixes | Self::Identities => Duration::from_secs(5),
            // A fetch takes ten seconds at most, and the list is then applied and kept.
            Self::RefreshPrefixes { .. } => Duration::from_secs(20),
        }
    }
}

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// The answer to `request`. May block, for less than the request's patience.
    fn answer(&self, request: Request) -> Answer;
}

/// One document, or why there is none.
#[derive(Debug)]
pub struct Answer(Result<serde_json::Value, String>);

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
        Self(serde_json::to_value(document).map_err(|error| error.to_string()))
    }

    /// No document.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        Self(Err(why.into()))
    }

    /// The line that goes back.
    pub(super) fn line(self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(&match self.0 {
            Ok(document) => Envelope::Ok(document),
            Err(why) => Envelope::Error(why),
        })?;
        line.push(b'\n');
        Ok(line)
    }
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
        for (request, line) in [
            (Request::Status, r#"{"verb":"status"}"#),
            (refresh, r#"{"verb":"refresh_prefixes","then":"apply_shrunk"}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).expect("JSON"), line);
            assert_eq!(parse(line.as_bytes()), Ok(request));
        }
    }

    #[test]
    fn what_is_no_request_is_refused_and_told() {
        for line in ["status", "", "{}", r#"{"verb":"stat"}"#, r#"{"verb":"refresh_prefixes"}"#] {
            let told = parse(line.as_bytes()).expect_err(line);
            assert!(told.contains("not a request"), "{told}");
        }
    }
}
