//! The daemon's side of the admin API, and requests and responses on the wire.

use aop_api::Request;
use serde::{Deserialize, Serialize};

/// Answers requests.
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers `request`. May block, for less than the time that the client waits.
    fn answer(&self, request: Request, requester: Requester) -> Response;
}

/// The client, as the kernel identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The user id.
    pub uid: u32,
    /// The process id; `None` where it lies in a PID namespace that is not visible here.
    pub pid: Option<i32>,
}

impl Requester {
    /// aop itself.
    #[must_use]
    pub fn own() -> Self {
        Self { uid: nix::unistd::geteuid().as_raw(), pid: i32::try_from(std::process::id()).ok() }
    }

    /// Whether it is root or the user of this process.
    pub(super) fn may_change(self) -> bool {
        self.uid == 0 || self.uid == Self::own().uid
    }
}

/// The line that goes back: one document, or why there is none.
#[derive(Debug)]
pub struct Response(Vec<u8>);

/// A response on the wire: `{"ok": …}` or `{"error": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResponseEnvelope<T> {
    Ok(T),
    Error(String),
}

impl Response {
    /// A response with this document.
    #[must_use]
    pub fn of(document: &impl Serialize) -> Self {
        encode(&ResponseEnvelope::Ok(document))
            .unwrap_or_else(|error| Self::refused(error.to_string()))
    }

    /// A refusal.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        encode(&ResponseEnvelope::<()>::Error(why.into())).unwrap_or_else(|_| Self(Vec::new()))
    }

    pub(super) fn into_line(self) -> Vec<u8> {
        self.0
    }
}

fn encode(envelope: &ResponseEnvelope<impl Serialize>) -> serde_json::Result<Response> {
    let mut line = serde_json::to_vec(envelope)?;
    line.push(b'\n');
    Ok(Response(line))
}

/// Parses a line without its newline.
pub(super) fn parse(line: &[u8]) -> Result<Request, String> {
    serde_json::from_slice(line).map_err(|error| {
        format!("not a request that aop {} knows: {error}", env!("CARGO_PKG_VERSION"))
    })
}

#[cfg(test)]
mod tests {
    use aop_api::{ModeChange, ModeTarget, RefreshAction};

    use super::*;

    #[test]
    fn requests_have_their_documented_form_on_the_wire() {
        let refresh = Request::RefreshPrefixes { then: RefreshAction::ApplyShrunk };
        let (ports, interfaces) = (vec![443], vec!["eth0".to_owned()]);
        let to = ModeTarget::Default;
        let switch = Request::Mode(ModeChange { ports, interfaces, ..ModeChange::to(to) });
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
