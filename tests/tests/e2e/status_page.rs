//! The status page: who gets it, under which policy, and that its data agree with the status. With
//! a browser (`cargo xtask page`) also how it looks and behaves.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Pull, client, script, wait};
use serde_json::Value;

use crate::monitor::{AT, Answer, monitored};
use crate::stage::{SOON, Stage, on_changed_stage, skip};

/// A subject that would run a script if the page made markup of it.
const HOSTILE: &str = "<img src=x onerror=window.owned=1>";
/// Names the browser, and the folder for the screenshots; set by `cargo xtask page`.
pub(crate) const BROWSER: &str = "AOP_BROWSER";
pub(crate) const SCREENSHOTS: &str = "AOP_SCREENSHOTS";

fn with_page(config: &mut AopToml, _: &Lab) {
    config.tables.push("[monitor]\nlisten = \"127.0.0.1:9465\"\npage = true");
}

fn ask(stage: &Stage, method: &str, path: &str, host: &str) -> Result<Answer> {
    Answer::to(client::connect(stage.lab.origin(), AT.parse()?)?, method, path, host)
}

/// The data of the page, once `holds` is true of them. aop makes them at most once a second.
fn data(stage: &Stage, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let read = || -> Result<Value> {
        let answer = ask(stage, "GET", "/page.json", "localhost")?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        Ok(serde_json::from_str(&answer.body)?)
    };
    wait::until(what, SOON * 2, || read().ok().filter(&holds))
        .with_context(|| format!("{:?}", read()))
}

/// The number in the rows of a list, summed up over those with this reason.
fn sum(rows: &Value, reason: &str, number: &str) -> u64 {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter(|row| row["reason"] == reason).filter_map(|row| row[number].as_u64()).sum()
}

#[test]
fn the_page_and_its_data_are_served_to_this_host_under_a_strict_policy() {
    on_changed_stage(with_page, |stage| {
        for host in ["localhost", "127.0.0.1:9465", "[::1]:8080"] {
            let page = ask(stage, "GET", "/", host)?;
            ensure!(page.status == 200 && page.body.starts_with("<!doctype html>"), "{host}");
            ensure!(page.field("content-type") == "text/html; charset=utf-8");
            let policy = page.field("content-security-policy");
            ensure!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
            ensure!(policy.contains("frame-ancestors 'none'"), "{policy}");
            let data = ask(stage, "GET", "/page.json", host)?;
            ensure!(data.status == 200 && data.field("content-type") == "application/json");
            for answer in [&page, &data] {
                ensure!(answer.field("x-content-type-options") == "nosniff");
                ensure!(answer.field("referrer-policy") == "no-referrer");
                ensure!(answer.field("cache-control") == "no-store");
            }
        }
        let head = ask(stage, "HEAD", "/", "localhost")?;
        ensure!(head.status == 200 && head.body.is_empty(), "{}", head.body);
        Ok(())
    });
}

#[test]
fn a_foreign_host_or_another_method_gets_neither_the_page_nor_its_data() {
    on_changed_stage(with_page, |stage| {
        for path in ["/", "/page.json"] {
            ensure!(ask(stage, "GET", path, "localhost")?.status == 200, "{path}");
            for host in ["evil.example", "evil.example:9465", "192.0.2.1", "localhost.evil"] {
                let answer = ask(stage, "GET", path, host)?;
                ensure!(answer.status == 421, "{host}: {}", answer.status);
                ensure!(answer.body.contains("http://localhost"), "{}", answer.body);
                ensure!(answer.body.lines().count() == 1, "{}", answer.body);
            }
            for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
                let answer = ask(stage, method, path, "localhost")?;
                ensure!(answer.status == 405, "{method}: {}", answer.status);
                ensure!(answer.field("allow") == "GET, HEAD", "{method}");
            }
        }
        // A scraper may use any name, as before.
        ensure!(ask(stage, "GET", "/metrics", "aop")?.status == 200);
        Ok(())
    });
}

#[test]
fn the_page_is_absent_unless_it_is_on_and_needs_a_new_process() {
    on_changed_stage(monitored, |stage| {
        ensure!(ask(stage, "GET", "/page.json", "localhost")?.status == 404);
        let absent = ask(stage, "GET", "/", "localhost")?;
        ensure!(absent.status == 404 && absent.body.contains("monitor.page"), "{}", absent.body);
        let on = stage.config.text().replace("9465\"", "9465\"\npage = true");
        stage.daemon.write(&on)?;
        ensure!(stage.daemon.reload()?.contains("monitor.page need a new process"));
        ensure!(ask(stage, "GET", "/", "localhost")?.status == 404);
        Ok(())
    });
}

#[test]
fn a_unix_socket_serves_the_page_to_local_names_alone() {
    on_changed_stage(
        |config, lab| {
            let listen = format!("listen = \"unix:{}\"", socket(lab).display());
            config.tables.push(format!("[monitor]\n{listen}\npage = true").leak());
        },
        |stage| {
            let path = socket(&stage.lab);
            let ask = |path_of: &str, host: &str| {
                Answer::to(UnixStream::connect(&path)?, "GET", path_of, host)
            };
            // As with `ssh -L 8080:/run/aop/monitor.sock`.
            ensure!(ask("/", "localhost:8080")?.body.starts_with("<!doctype html>"));
            let data: Value = serde_json::from_str(&ask("/page.json", "127.0.0.1:8080")?.body)?;
            ensure!(data["mode"] == "enforce", "{data}");
            ensure!(ask("/", "aop")?.status == 421);
            ensure!(ask("/readyz", "aop")?.status == 200);
            Ok(())
        },
    );
}

fn socket(lab: &Lab) -> PathBuf {
    lab.dir().join("monitor.sock")
}

#[test]
fn the_data_agree_with_the_status_after_served_refused_and_dropped_pulls() {
    on_changed_stage(with_page, |stage| {
        stage.edge_is_served()?;
        Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate().must_be_refused()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        let dropped = |data: &Value| sum(&data["packets"], "unknown_source", "packets");
        let shown = data(stage, "all three are shown", |data| {
            let refused = sum(&data["refused"], "certificate_required", "count");
            data["accepted"] == 1 && refused == 1 && dropped(data) >= 1
        })?;
        let status = stage.daemon.status()?;
        ensure!(dropped(&shown) == status.packets("drop", "unknown_source")?, "{shown}");
        for (name, expected) in [
            ("mode", "enforce"),
            ("state", if status.warnings()?.is_empty() { "ok" } else { "warning" }),
        ] {
            ensure!(shown[name] == expected, "{name}: {shown}");
        }
        ensure!(shown["daemon"]["pid"] == status.json()["daemon"]["pid"], "{shown}");
        ensure!(shown["interfaces"]["rows"][0]["name"] == "eth0", "{shown}");
        ensure!(shown["ends"]["rows"] == status.json()["ends"], "{shown}");
        let subject = &shown["identities"]["rows"][0]["subject"];
        ensure!(subject == &status.json()["identities"][0]["subject"], "{shown}");
        let refused = &shown["refused_lately"]["rows"][0];
        ensure!(refused["reason"] == "certificate_required", "{shown}");
        stage.daemon.verb(&["unload"])?.success()?;
        data(stage, "it is critical", |data| {
            data["state"] == "critical"
                && data["obstacles"]["rows"][0].to_string().contains("not filtered")
        })?;
        Ok(())
    });
}

#[test]
fn a_browser_shows_the_page_and_runs_nothing_that_a_peer_has_sent() {
    let Some(browser) = std::env::var_os(BROWSER).map(PathBuf::from) else {
        return skip(&format!("{BROWSER} is not set: `cargo xtask page`"));
    };
    let requests = |config: &mut AopToml, lab: &Lab| {
        with_page(config, lab);
        config.site().upstream = String::from("http://127.0.0.1:8080");
    };
    on_changed_stage(requests, |stage| {
        let folder = std::env::var_os(SCREENSHOTS).map_or(stage.lab.dir().join("page"), Into::into);
        let hostile = stage.lab.pki.with_subject(HOSTILE)?;
        Pull::by_edge(&stage.lab, IpVersion::V4).certificate(&hostile).must_be_served()?;
        let traffic = || -> Result<()> {
            stage.edge_is_served()?;
            Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate().must_be_refused()?;
            Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()
        };
        let text = |path: &Path| path.display().to_string();
        let (browser, folder, url) = (text(&browser), text(&folder), format!("http://{AT}/"));
        let cases = script::run_on_origin(
            &stage.lab,
            "status_page",
            &["--browser", &browser, "--url", &url, "--folder", &folder, "--hostile", HOSTILE],
            traffic,
        )?;
        ensure!(cases.len() == 10, "{cases:?}");
        Ok(())
    });
}
