//! The outcome of a case by one way, and the comparison of two.
//!
//! A proxy may change the framing, the connection's own fields and the reason of a status. It may
//! not change anything else.

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::wait;

use crate::application::RequestSeen;
use crate::visitor::Received;
use crate::wire::{BodyEnd, BodySeen, FieldList};

/// Fields of one connection (RFC 9110, 7.6.1), and the framing. Those that `Connection` names are
/// left out too.
const HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields that a proxy may add.
const ADDED: [&str; 4] = ["date", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
/// How long the application may take to note a request after its response.
const PATIENCE: Duration = Duration::from_secs(2);

/// The outcome of a case by one way, as lines that can be compared: a name and a value each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    lines: Vec<(String, String)>,
}

/// The verdict about one way through aop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As without proxies.
    Same,
    /// As with an edge alone.
    AsEdgeAlone,
    /// pingora cannot make this exchange over this protocol.
    NotMade,
    /// Neither. The differences from the straight way.
    Different(Vec<String>),
}

impl Outcome {
    /// From the bytes of the visitor and the requests of the application, which are noted shortly
    /// after the response.
    pub(crate) fn new(
        received: Result<Received, String>,
        seen: impl Fn() -> Vec<RequestSeen>,
    ) -> Self {
        let mut outcome = Self::default();
        match received {
            Err(why) => outcome.add("visitor", why),
            Ok(received) => outcome.add_received(&received),
        }
        // A request that never arrives is a line that is missing.
        let noted = || Some(seen()).filter(|seen| !seen.is_empty());
        let seen = wait::until("the application notes it", PATIENCE, noted).unwrap_or_default();
        seen.iter().for_each(|request| outcome.add_request(request));
        outcome
    }

    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.lines.push((name.to_owned(), value.into()));
    }

    fn add_received(&mut self, received: &Received) {
        for head in &received.interim {
            self.add("interim", head.word(1));
            self.add_fields("interim", &head.fields);
        }
        match &received.response {
            None => self.add("response", "none"),
            Some((head, body)) => {
                self.add("response", head.word(1));
                self.add_fields("response", &head.fields);
                self.add_body("response", body);
            }
        }
    }

    fn add_request(&mut self, request: &RequestSeen) {
        self.add("request", format!("{} {}", request.head.word(0), request.head.word(1)));
        self.add_fields("request", &request.head.fields);
        self.add_body("request", &request.body);
        if let Some(failure) = &request.failure {
            self.add("application", failure.as_str());
        }
    }

    fn add_body(&mut self, of: &str, body: &BodySeen) {
        // The point at which a connection was cut is a matter of time.
        match body.end {
            BodyEnd::Whole => self
                .add(&format!("{of} body"), format!("{} bytes, sha256 {}", body.length, body.sum)),
            BodyEnd::Cut => self.add(&format!("{of} body"), "cut"),
        }
        self.add_fields(&format!("{of} trailer"), &body.trailers);
    }

    /// Sorted by name; values of one name stay in order.
    fn add_fields(&mut self, of: &str, fields: &FieldList) {
        let named: Vec<&str> = fields
            .iter()
            .filter(|(name, _)| name == "connection")
            .flat_map(|(_, value)| value.split(',').map(str::trim))
            .collect();
        let is_of_hop = |name: &str| {
            HOP.contains(&name) || named.iter().any(|own| own.eq_ignore_ascii_case(name))
        };
        let mut kept: Vec<_> = fields.iter().filter(|(name, _)| !is_of_hop(name)).collect();
        kept.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, value) in kept {
            self.add(&format!("{of} field {name}"), value.as_str());
        }
    }

    /// Without the fields that a proxy may add, unless `straight` has them.
    fn without_added(&self, straight: &Self) -> Self {
        let is_added = |name: &str| {
            let field = name.rsplit(' ').next().unwrap_or_default();
            ADDED.contains(&field) && !straight.lines.iter().any(|(own, _)| own == name)
        };
        let lines = self.lines.iter().filter(|(name, _)| !is_added(name)).cloned().collect();
        Self { lines }
    }

    /// Whether there is one request and a response, and each step came in time. Without that the
    /// case itself is wrong.
    ///
    /// # Errors
    /// The missing part.
    pub(crate) fn must_be_sound(&self) -> Result<()> {
        let count = |wanted: &str| self.lines.iter().filter(|(name, _)| name == wanted).count();
        let is_sound = count("request") == 1
            && count("response") == 1
            && count("visitor") + count("application") == 0
            && !self.lines.contains(&("response".to_owned(), "none".to_owned()));
        ensure!(is_sound, "without proxies: {:#?}", self.lines);
        Ok(())
    }

    /// Without the body of the request, for a case in which it is a matter of time.
    pub(crate) fn without_request_body(mut self) -> Self {
        self.lines.retain(|(name, _)| name != "request body");
        self
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let missing = self.lines.iter().filter(|line| !other.lines.contains(line));
        let more = other.lines.iter().filter(|line| !self.lines.contains(line));
        let mut said: Vec<_> = missing.map(|line| said_with('-', line)).collect();
        said.extend(more.map(|line| said_with('+', line)));
        if said.is_empty() && self != other {
            said.push("  the same lines in another number or order".to_owned());
        }
        said
    }
}

/// One line of a difference, cut to fit a terminal.
fn said_with(sign: char, (name, value): &(String, String)) -> String {
    const MOST: usize = 70;
    let text = format!("{sign} {name}: {}", value.escape_debug());
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Compares a way through aop with the straight way and, where these differ, with an edge alone.
pub(crate) fn judge(
    straight: &Outcome,
    through: &Outcome,
    alone: impl FnOnce() -> Outcome,
) -> Verdict {
    let through = through.without_added(straight);
    let differences = straight.differences(&through);
    if differences.is_empty() {
        return Verdict::Same;
    }
    let alone = alone().without_added(straight);
    if alone == through {
        return Verdict::AsEdgeAlone;
    }
    let mut said = differences;
    said.push("the edge alone:".to_owned());
    said.extend(straight.differences(&alone));
    Verdict::Different(said)
}
