//! nghttp of nghttp2, as an edge over HTTP/2.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::{IpVersion, script};

use super::{Software, installed, takes_http};
use crate::stage::{Stage, on_changed_stage};

const PATIENCE: Duration = Duration::from_secs(60);
const UPLOAD: usize = 500_000;

/// Runs a claim on a stage with an application, and with a file to upload.
fn on_nghttp(claim: impl FnOnce(&Stage, &Path) -> Result<()>) {
    let programs = installed(&Software::Programs(&["nghttp"]));
    if !(programs && installed(&Software::Modules(&["h11"]))) {
        return;
    }
    on_changed_stage(takes_http, |stage| {
        let address = ["127.0.0.1:9000"];
        let _application = script::serve_on_origin(&stage.lab, "application", &address)?;
        let file = stage.lab.dir().join("upload");
        std::fs::write(&file, pattern(UPLOAD))?;
        claim(stage, &file)
    });
}

/// Runs nghttp in the namespace of the edge.
fn nghttp(stage: &Stage, arguments: &[&str], path: &str) -> Result<CommandOutput> {
    let (lab, to) = (&stage.lab, stage.lab.origin_at(IpVersion::V4, 443));
    let mut command = lab.edge().command("nghttp");
    command.args(["--no-verify-peer", "--header", ":authority: example.com", "--timeout", "30"]);
    command.arg("--cert").arg(&lab.pki.edge.certificate);
    command.arg("--key").arg(&lab.pki.edge.key);
    command.args(arguments).arg(format!("https://{to}{path}"));
    child::finish(command, &[], PATIENCE)?.success()
}

fn pattern(length: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(length).collect()
}

#[test]
fn nghttp_is_served_with_any_windows_padding_continuations_trailers_and_many_streams() {
    on_nghttp(|stage, file| {
        whole_bodies(stage, file)?;
        many_streams(stage, file)?;
        continuations_and_trailers(stage, file)
    });
}

fn whole_bodies(stage: &Stage, file: &Path) -> Result<()> {
    let options = ["--data", &file.display().to_string()];
    let shapes: [&[&str]; 4] = [
        &[],
        &["--padding", "250"],
        // Windows of 1 KiB for a stream, and of 64 KiB for the connection.
        &["--window-bits", "10"],
        &["--header-table-size", "0", "--encoder-header-table-size", "0"],
    ];
    for shape in shapes {
        let got = nghttp(stage, shape, "/pattern/300000")?.output;
        ensure!(got == pattern(300_000), "{shape:?}: {} bytes", got.len());
        let echoed = nghttp(stage, &[&options, shape].concat(), "/echo")?.output;
        ensure!(echoed == pattern(UPLOAD), "{shape:?}: {} bytes", echoed.len());
    }
    Ok(())
}

fn many_streams(stage: &Stage, file: &Path) -> Result<()> {
    let file = file.display().to_string();
    let many = ["--multiply", "100", "--stat", "--null-out"];
    let shapes: [(&[&str], &str, &str); 3] = [
        (&[], "/pattern/4096", " 200   4K "),
        // The last streams depend on others, with weights.
        (&["--weight", "5"], "/pattern/4096", " 200   4K "),
        (&["--data", &file], "/early/413", " 413   10 "),
    ];
    for (shape, path, line) in shapes {
        let text = nghttp(stage, &[&many, shape].concat(), path)?.text();
        ensure!(text.matches(line).count() == 100, "{shape:?}: {text}");
    }
    ensure!(stage.daemon.status()?.denials()?.is_empty());
    Ok(())
}

fn continuations_and_trailers(stage: &Stage, file: &Path) -> Result<()> {
    let file = file.display().to_string();
    let large = nghttp(stage, &["--continuation"], "/head")?.text();
    ensure!(large.matches("continuation-test-").count() >= 5, "{large}");

    let trailers = ["--no-content-length", "--verbose", "--null-out", "--data", &file];
    let trailers = [&trailers[..], &["--header", "te: trailers"]].concat();
    let trailer = ["--header", "trailer: x-sum", "--trailer", "x-sum: 7"];
    let text = nghttp(stage, &[&trailers[..], &trailer].concat(), "/echo")?.text();
    ensure!(text.contains("x-trailer-x-sum: 7"), "{text}");
    let text = nghttp(stage, &["--verbose", "--null-out"], "/trailers")?.text();
    ensure!(text.contains("x-sum: 13"), "{text}");

    let expect = ["--expect-continue", "--verbose", "--null-out", "--data", &file];
    let text = nghttp(stage, &expect, "/expect/100")?.text();
    let (interim, rest) = text.split_once(":status: 100").unwrap_or_default();
    ensure!(!interim.contains("DATA frame") && rest.contains(":status: 200"), "{text}");
    Ok(())
}
