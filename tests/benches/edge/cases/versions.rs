//! Visitors that speak HTTP/2 to the edge: curl without TLS. Only they receive trailers, because
//! pingora drops trailers for visitors of HTTP/1.1.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use aop_tests::child;

use super::compare::{Outcome, judge};
use super::{ok, sized};
use crate::application::{Application, Exchange};
use crate::network::{Network, Way};
use crate::report::Report;
use crate::script::{Step, pattern};
use crate::visitor::Received;
use crate::wire::{BodyEnd, BodySeen, FieldList, Head, sum_of};

const PATIENCE: Duration = Duration::from_secs(60);
const MEGABYTES: usize = 100 * 1024 * 1024;

/// One request with curl.
struct H2c {
    name: &'static str,
    arguments: &'static [&'static str],
    /// The bytes of the request body, as a pattern.
    upload: usize,
    answer: Vec<Step>,
}

fn all() -> Vec<H2c> {
    let plain = |name, arguments, upload, answer: String| H2c {
        name,
        arguments,
        upload,
        answer: vec![Step::ReadBody, Step::Send(answer.into())],
    };
    let trailers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n\
                    5\r\nhello\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let many: String = (0..200).map(|n| format!("X-Field-{n}: {}\r\n", "v".repeat(200))).collect();
    let down = format!("HTTP/1.1 200 OK\r\nContent-Length: {MEGABYTES}\r\n\r\n");
    let down = vec![Step::ReadBody, Step::Send(down.into()), Step::Pattern(MEGABYTES)];
    vec![
        plain("h2c: GET", &[], 0, ok()),
        plain("h2c: HEAD", &["--head"], 0, sized("200 OK", "", "").replace(" 0", " 4321")),
        plain("h2c: 204", &[], 0, "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        plain(
            "h2c: 304",
            &["-H", "If-None-Match: \"a\""],
            0,
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_owned(),
        ),
        plain("h2c: POST of 1 MB", &["-X", "POST"], 1024 * 1024, ok()),
        plain("h2c: DELETE", &["-X", "DELETE"], 0, ok()),
        plain("h2c: trailers", &["-H", "TE: trailers"], 0, trailers.to_owned()),
        plain("h2c: 103", &[], 0, hints.to_owned() + &ok()),
        plain("h2c: 200 fields, 44 KB", &[], 0, sized("200 OK", &many, "ok")),
        plain(
            "h2c: cookies",
            &["-H", "Cookie: a=1; b=2"],
            0,
            sized("200 OK", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "ok"),
        ),
        H2c { name: "h2c: 100 MB down", arguments: &[], upload: 0, answer: down },
        plain("h2c: 100 MB up", &["-X", "PUT"], MEGABYTES, ok()),
    ]
}

pub(super) fn run(
    network: &Network,
    application: &Application,
    filter: &str,
    report: &mut Report,
) -> Result<()> {
    for case in all().into_iter().filter(|case| case.name.contains(filter)) {
        report.case(case.name, || {
            let straight = perform(network, application, &case, Way::Straight)?;
            straight.must_be_sound()?;
            let mut verdicts = Vec::new();
            for way in Way::THROUGH_AOP {
                let through = perform(network, application, &case, way)?;
                let alone = perform(network, application, &case, Way::EdgeAlone);
                verdicts.push(judge(&straight, &through, || alone.unwrap_or_default()));
            }
            verdicts.try_into().ok().context("two ways")
        })?;
    }
    Ok(())
}

fn perform(network: &Network, application: &Application, case: &H2c, way: Way) -> Result<Outcome> {
    let exchange = Exchange::new(case.answer.clone());
    application.play(&exchange);
    let received = curl(network, case, way)?;
    Ok(Outcome::new(Ok(received), || exchange.seen()))
}

fn curl(network: &Network, case: &H2c, way: Way) -> Result<Received> {
    let dir = network.lab.dir();
    let (heads, body, upload) = (dir.join("heads"), dir.join("body"), dir.join("upload"));
    fs::write(&body, b"")?;
    let (host, version) = match way {
        Way::Straight => (network.lab.origin(), "--http1.1"),
        Way::EdgeAlone | Way::Http1 | Way::Http2 => (network.lab.edge(), "--http2-prior-knowledge"),
    };
    let mut curl = host.command("curl");
    curl.args(["--silent", "--show-error", version, "--path-as-is", "-H", "User-Agent: visitor"]);
    curl.args(["-H", "Host: example.com", "-H", "Expect:"]).args(case.arguments);
    curl.arg("-D").arg(&heads).arg("-o").arg(&body);
    if case.upload > 0 {
        fs::write(&upload, pattern(0, case.upload))?;
        curl.arg("--data-binary").arg(format!("@{}", upload.display()));
    }
    curl.arg(format!("http://{}/h2c", way.address()));
    let done = child::finish(curl, &[], PATIENCE)?;
    let end = if done.code == 0 { BodyEnd::Whole } else { BodyEnd::Cut };
    let bytes = fs::read(&body)?;
    let is_head = case.arguments.contains(&"--head");
    let bytes = if is_head { Vec::new() } else { bytes };
    Ok(received(&fs::read(&heads).unwrap_or_default(), &bytes, end))
}

/// curl writes heads and trailers one after the other, in one file.
fn received(heads: &[u8], body: &[u8], end: BodyEnd) -> Received {
    let text: String = heads.iter().map(|byte| char::from(*byte)).collect();
    let mut received = Received::default();
    let mut trailers = FieldList::new();
    let mut found: Vec<Head> = Vec::new();
    let mut is_in_head = false;
    for line in text.split("\r\n") {
        let field = || {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        if line.starts_with("HTTP/") {
            found.push(Head { line: line.to_owned(), fields: FieldList::new() });
            is_in_head = true;
        } else if line.is_empty() {
            is_in_head = false;
        } else if let (true, Some(head)) = (is_in_head, found.last_mut()) {
            head.fields.extend(field());
        } else {
            trailers.extend(field());
        }
    }
    if let Some(head) = found.pop() {
        let body = BodySeen { length: body.len() as u64, sum: sum_of(body), end, trailers };
        received.response = Some((head, body));
    }
    received.interim = found;
    received
}
