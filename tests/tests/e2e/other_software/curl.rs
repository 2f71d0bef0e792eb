//! curl, as an edge: early answers, expectations, hints and parallel transfers.

use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Pull, child, script};

use super::{Software, installed, takes_h2c, takes_http};
use crate::stage::{Stage, on_changed_stage};

const READER: Software = Software::Modules(&["h2", "h11"]);
const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];
const UPLOAD: usize = 3 * 1024 * 1024;

/// Runs a claim on a stage with the application of `tests/scripts/application.py`.
fn with_application(claim: impl FnOnce(&Stage) -> Result<()>) {
    if !installed(&READER) {
        return;
    }
    on_changed_stage(takes_http, |stage| {
        let address = ["127.0.0.1:9000"];
        let _application = script::serve_on_origin(&stage.lab, "application", &address)?;
        claim(stage)
    });
}

fn pull(stage: &Stage, version: &str, path: &str) -> Pull {
    Pull::by_edge(&stage.lab, IpVersion::V4).option(version).path(path)
}

/// Uploads, and expects this text as the answer.
fn uploads(stage: &Stage, version: &str, path: &str, expect: &str, text: &str) -> Result<()> {
    // Without a 100, curl waits longer for it than a pull may take.
    let upload = pull(stage, version, path).option("--expect100-timeout").option("90");
    let upload = upload.option("--header").option(expect);
    let outcome = upload.post(vec![b'x'; UPLOAD]).send()?;
    ensure!(outcome.body() == text.as_bytes(), "{version} {path} {expect}: {outcome}");
    Ok(())
}

/// The application decides on an expectation of curl.
fn expects(stage: &Stage) -> Result<()> {
    let expect = "Expect: 100-continue";
    for version in VERSIONS {
        let text = format!("{UPLOAD} bytes came\n");
        uploads(stage, version, "/expect/100", expect, &text)?;
        for status in ["401", "413"] {
            let text = format!("early {status}\n");
            uploads(stage, version, &format!("/expect/{status}"), expect, &text)?;
        }
    }
    // Over HTTP/2, curl 7.88 sends an expectation of the command line again after a 417.
    uploads(stage, VERSIONS[0], "/expect/417", expect, "early 417\n")
}

#[test]
fn early_answers_reach_curl_and_the_application_decides_on_its_expectation() {
    with_application(|stage| {
        for version in VERSIONS {
            for status in ["401", "413", "413", "503"] {
                let path = format!("/early/{status}");
                // Without a value, curl sends no such field.
                uploads(stage, version, &path, "Expect:", &format!("early {status}\n"))?;
            }
        }
        expects(stage)
    });
}

#[test]
fn an_early_answer_of_an_h2c_upstream_reaches_curl_while_it_uploads() {
    if !installed(&READER) {
        return;
    }
    on_changed_stage(takes_h2c, |stage| {
        let address = ["127.0.0.1:9000"];
        let _application = script::serve_on_origin(&stage.lab, "application_h2c", &address)?;
        for version in VERSIONS {
            for status in ["401", "413", "413"] {
                let path = format!("/early/{status}");
                uploads(stage, version, &path, "Expect:", &format!("early {status}\n"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn early_hints_reach_curl_before_the_response() {
    with_application(|stage| {
        for version in VERSIONS {
            let outcome = pull(stage, version, "/hints").option("--include").send()?;
            let text = String::from_utf8_lossy(outcome.body()).to_lowercase();
            let heads: Vec<&str> = text.split("\r\n\r\n").collect();
            let [first, second, last, body] = heads[..] else { anyhow::bail!("{version}: {text}") };
            ensure!(first.contains(" 103") && first.contains("link: </style.css>"), "{text}");
            ensure!(second.contains(" 103") && second.contains("link: </a.js>"), "{text}");
            ensure!(last.contains(" 200") && body == "after two hints\n", "{text}");
        }
        Ok(())
    });
}

#[test]
fn forty_transfers_of_curl_at_once_are_complete() {
    with_application(|stage| {
        for version in VERSIONS {
            let (lab, to) = (&stage.lab, stage.lab.origin_at(IpVersion::V4, 443));
            let mut curl = lab.edge().command("curl");
            curl.args(["-q", "--silent", "--show-error", "--parallel", "--parallel-max", "40"]);
            curl.args([version, "--noproxy", "*", "--max-time", "60", "--cacert"]);
            curl.arg(&lab.pki.server_ca).arg("--cert").arg(&lab.pki.edge.certificate);
            curl.arg("--key").arg(&lab.pki.edge.key);
            curl.args(["--connect-to", &format!("::{to}"), "--output", "/dev/null"]);
            curl.args(["--write-out", "%{http_code} %{size_download}\n"]);
            curl.arg("https://example.com/pattern/[1000001-1000040]");
            let done = child::finish(curl, &[], Duration::from_secs(70))?.success()?;
            let mut lines: Vec<String> = done.text().lines().map(str::to_owned).collect();
            lines.sort();
            let expected: Vec<_> =
                (1..=40).map(|last| format!("200 {}", 1_000_000 + last)).collect();
            ensure!(lines == expected, "{version}: {lines:?}");
        }
        Ok(())
    });
}
