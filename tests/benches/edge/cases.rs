//! The cases: one exchange each, sent by three ways and compared.
//!
//! The ways are: straight to the application; through an edge alone; through an edge and aop. aop
//! is right if its way agrees with the first, or with the second: pingora has habits of its own.

mod answers;
mod compare;
mod order;
mod requests;
mod versions;

use anyhow::Result;

use crate::application::{Application, Exchange};
use crate::network::{Network, Way};
use crate::report::Report;
use crate::script::Step;
use crate::visitor::{self, Received};

pub(crate) use compare::{Outcome, Verdict};

/// One exchange.
pub(crate) struct Case {
    name: &'static str,
    method: &'static str,
    request: Vec<Step>,
    answer: Vec<Step>,
    request_body: RequestBody,
    protocols: Protocols,
}

/// The protocols to aop over which pingora can make the exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocols {
    Both,
    Http1,
}

/// Whether the body that the application saw is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestBody {
    Same,
    Any,
}

impl Case {
    /// A request that is one piece of bytes, answered with one piece after all of it has come.
    fn plain(name: &'static str, request: impl Into<Vec<u8>>, answer: impl Into<Vec<u8>>) -> Self {
        Self::steps(name, [Step::Send(request.into())], [Step::ReadBody, Step::Send(answer.into())])
    }

    /// The application answers while the body arrives, so nobody knows how much of it arrives.
    fn with_any_request_body(mut self) -> Self {
        self.request_body = RequestBody::Any;
        self
    }

    /// As a client of HTTP/2, pingora ignores interim responses and makes no tunnels.
    fn over_http1_alone(mut self) -> Self {
        self.protocols = Protocols::Http1;
        self
    }

    /// A script for both ends.
    fn steps(
        name: &'static str,
        request: impl Into<Vec<Step>>,
        answer: impl Into<Vec<Step>>,
    ) -> Self {
        let (request, answer) = (request.into(), answer.into());
        let first = request.first();
        let is_head = matches!(first, Some(Step::Send(bytes)) if bytes.starts_with(b"HEAD "));
        let method = if is_head { "HEAD" } else { "other" };
        let (request_body, protocols) = (RequestBody::Same, Protocols::Both);
        Self { name, method, request, answer, request_body, protocols }
    }
}

/// The head of a request and the fields besides `Host`, each with its line end.
fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")
}

/// A response with a body of known length.
fn sized(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

fn ok() -> String {
    sized("200 OK", "", "ok")
}

/// Runs the cases whose names contain `filter`, over both protocols.
///
/// # Errors
/// When the straight way fails: then the case itself is wrong.
pub(crate) fn run(
    network: &Network,
    application: &Application,
    filter: &str,
    report: &mut Report,
) -> Result<()> {
    let all = [requests::all(), answers::all(), order::all()];
    for case in all.into_iter().flatten().filter(|case| case.name.contains(filter)) {
        report.case(case.name, || {
            let straight = perform(network, application, &case, Way::Straight);
            straight.must_be_sound()?;
            Ok(Way::THROUGH_AOP.map(|way| {
                if way == Way::Http2 && case.protocols == Protocols::Http1 {
                    return Verdict::NotMade;
                }
                let through = perform(network, application, &case, way);
                let alone = || perform(network, application, &case, Way::EdgeAlone);
                compare::judge(&straight, &through, alone)
            }))
        })?;
    }
    versions::run(network, application, filter, report)
}

fn perform(network: &Network, application: &Application, case: &Case, way: Way) -> Outcome {
    let exchange = Exchange::new(case.answer.clone());
    application.play(&exchange);
    let visit = || -> Result<Received> {
        let stream = network.connect(way)?;
        visitor::visit(&stream, &case.request, &exchange.progress, case.method)
    };
    let received = visit().map_err(|why| format!("{why:#}"));
    let outcome = Outcome::new(received, || exchange.seen());
    match case.request_body {
        RequestBody::Same => outcome,
        RequestBody::Any => outcome.without_request_body(),
    }
}
