//! `aop fleet page`: who gets it, that it agrees with `aop fleet status`, and what it shows while
//! etcd is away. With a browser (`cargo xtask page`) also how it looks and behaves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, Child, EtcdCluster, Lab, client, script, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::orders::{obeying, order};
use super::{HOST, KEY, REPORTED, as_it_is, await_link, fleet_status, on_fleet};
use crate::monitor::Answer;
use crate::stage::{SOON, Stage, skip};
use crate::status_page::{BROWSER, SCREENSHOTS};

const AT: &str = "127.0.0.1:9470";
/// A label that would run a script if the page made markup of it.
const HOSTILE: &str = "<img src=x onerror=window.owned=1>";
/// The number of hosts in the second browser test.
const HOSTS: &str = "AOP_PAGE_HOSTS";

/// The host obeys the operator, and serves its status page.
fn with_status_page(config: &mut AopToml, lab: &Lab, etcd: &EtcdCluster) -> Result<()> {
    config.tables.push("[monitor]\nlisten = \"127.0.0.1:9465\"\npage = true");
    obeying(config, lab, etcd)
}

/// `aop fleet page` with more arguments, once it listens.
fn serve(stage: &Stage, more: &[&str]) -> Result<Child> {
    let program = stage.daemon.program().to_owned();
    let mut line: Vec<PathBuf> = vec![program, "fleet".into(), "page".into(), "--config".into()];
    line.push(stage.daemon.config_path());
    line.extend(more.iter().map(PathBuf::from));
    let mut page =
        Child::serve(stage.lab.origin(), &line, &stage.lab.dir().join("fleet-page.log"))?;
    wait::until("the page is served", REPORTED, || {
        (page.log().contains("is shown at") || page.ended().is_some()).then_some(())
    })?;
    ensure!(page.log() == format!("the fleet /aop is shown at http://{AT}/ until Ctrl-C\n"));
    Ok(page)
}

fn ask(stage: &Stage, method: &str, path: &str, host: &str) -> Result<Answer> {
    Answer::to(client::connect(stage.lab.origin(), AT.parse()?)?, method, path, host)
}

fn document(stage: &Stage, path: &str) -> Result<Value> {
    let answer = ask(stage, "GET", path, "localhost:9470")?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}

/// The data of the page, once `holds` is true of them.
fn data(stage: &Stage, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until(what, REPORTED * 2, || document(stage, "/page.json").ok().filter(&holds))
        .with_context(|| format!("{:?}", document(stage, "/page.json")))
}

#[test]
fn the_page_agrees_with_the_verb_and_is_for_this_host_alone() {
    on_fleet(1, obeying, |stage, _| {
        await_link(stage, "reporting")?;
        stage.edge_is_served()?;
        order(stage, "reload --all")?.success()?;
        let mut page = serve(stage, &["--label", "ring=canary"])?;
        let shown = data(stage, "the certificate and the order arrive", |data| {
            let order = &data["fleet"]["orders"]["rows"][0];
            data["fleet"]["certificates"]["rows"][0]["pulls"] == 1 && order["states"][0].is_object()
        })?;
        ensure!(shown["selection"] == "--label ring=canary" && shown["error"].is_null(), "{shown}");
        ensure!(shown["fleet"]["hosts"]["rows"][0]["name"] == HOST, "{shown}");
        let row = &shown["fleet"]["orders"]["rows"][0];
        ensure!(row["genuine"] == true && row["states"][0]["value"] == "done", "{shown}");
        ensure!(row["request"] == "reload", "{row}");
        ensure!(shown["fleet"]["certificates"]["rows"][0]["state"] == "newest", "{shown}");
        crate::documented_json::is_documented(&shown)?;

        // However many ask, etcd is read every five seconds.
        let begun = std::time::Instant::now();
        let reading = |_| Ok(document(stage, "/page.json")?["fleet"]["at"].to_string());
        let readings: BTreeSet<String> = (0..30).map(reading).collect::<Result<_>>()?;
        let most = begun.elapsed().as_secs() / 5 + 2;
        ensure!(readings.len() as u64 <= most, "{readings:?} in {:?}", begun.elapsed());

        let status = fleet_status(stage, &[])?;
        for path in ["/fleet.json", "/fleet.json?host=web-1"] {
            let report = document(stage, path)?;
            ensure!(report["sums"] == status["sums"], "{report}");
            ensure!(report["hosts"][0]["report"]["labels"]["ring"] == "canary", "{report}");
        }
        ensure!(document(stage, "/fleet.json?host=web-2")?["sums"]["hosts"] == 0);

        let html = ask(stage, "GET", "/", "localhost")?;
        ensure!(html.status == 200 && html.body.starts_with("<!doctype html>"));
        ensure!(html.field("content-security-policy").contains("script-src 'sha256-"));
        for path in ["/", "/page.json", "/fleet.json"] {
            let foreign = ask(stage, "GET", path, "evil.example:9470")?;
            ensure!(foreign.status == 421 && !foreign.body.contains(HOST), "{}", foreign.body);
            ensure!(ask(stage, "POST", path, "localhost")?.status == 405, "{path}");
        }
        let outside = stage.lab.origin_at(aop_tests::IpVersion::V4, 9470);
        ensure!(stage.lab.edge().connect(outside, SOON).is_err(), "it is reached from outside");

        page.signal(Signal::SIGTERM)?;
        ensure!(page.wait(SOON)?.code() == Some(0), "{}", page.log());
        for listen in ["0.0.0.0:9470", "192.0.2.1:9470"] {
            let refused = stage.daemon.verb(&["fleet", "page", "--listen", listen])?;
            ensure!(refused.code == 2 && refused.errors.contains("ssh -L"), "{refused:?}");
        }
        Ok(())
    });
}

#[test]
fn while_etcd_is_away_the_page_keeps_the_last_view_and_says_since_when() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let mut page = serve(stage, &[])?;
        let good = data(stage, "the host is shown", |data| data["fleet"]["sums"]["hosts"] == 1)?;
        etcd.kill(0);
        let old = data(stage, "etcd is away", |data| data["failing_since"].is_string())?;
        ensure!(old["fleet"]["sums"]["hosts"] == 1, "{old}");
        ensure!(old["fleet"]["at"].as_str() >= good["fleet"]["at"].as_str(), "{old}");
        ensure!(old["error"].as_str().is_some_and(|why| why.contains("connect")), "{old}");
        let refused = ask(stage, "GET", "/fleet.json", "localhost")?;
        ensure!(refused.status == 503 && refused.body.contains("connect"), "{}", refused.body);
        let later = data(stage, "it is still away", |data| data["now"] != old["now"])?;
        ensure!(later["failing_since"] == old["failing_since"], "{later}");
        etcd.run(0)?;
        etcd.await_quorum()?;
        let back = data(stage, "etcd is back", |data| data["failing_since"].is_null())?;
        ensure!(back["fleet"]["at"].as_str() > old["fleet"]["at"].as_str(), "{back}");
        ensure!(document(stage, "/fleet.json")?["sums"]["hosts"] == 1);
        page.signal(Signal::SIGINT)?;
        ensure!(page.wait(SOON)?.code() == Some(0), "{}", page.log());
        stage.edge_is_served()
    });
}

#[test]
fn the_status_page_of_a_host_shows_its_own_link_and_no_other_host() {
    on_fleet(1, with_status_page, |stage, etcd| {
        await_link(stage, "reporting")?;
        etcd.put("/aop/hosts/web-2", &etcd.value(KEY)?.replace("web-1", "web-2"))?;
        let read = || -> Result<Value> {
            let stream = client::connect(stage.lab.origin(), crate::monitor::AT.parse()?)?;
            let answer = Answer::to(stream, "GET", "/page.json", "localhost")?;
            ensure!(!answer.body.contains("web-2"), "{}", answer.body);
            Ok(serde_json::from_str(&answer.body)?)
        };
        let link = read()?["fleet"].clone();
        ensure!(link["name"] == HOST && link["prefix"] == "/aop", "{link}");
        ensure!(link["state"] == "reporting" && link["reported_at"].is_string(), "{link}");
        etcd.kill(0);
        wait::until("the page says that reports fail", REPORTED, || {
            read().ok().filter(|data| data["fleet"]["state"] == "failing")
        })?;
        Ok(())
    });
}

#[test]
fn text_in_etcd_reaches_the_page_without_control_characters() {
    on_fleet(1, as_it_is, |stage, etcd| {
        await_link(stage, "reporting")?;
        let ugly = etcd
            .value(KEY)?
            .replace(r#""version":""#, "\"version\":\"\\u001b[31m")
            .replace("web-1", "web-2")
            .replace(r#""warnings":[""#, "\"warnings\":[\"\\u001b]0;x\\u0007\\u202e")
            .replace("canary", HOSTILE);
        etcd.put("/aop/hosts/web-2", &ugly)?;
        etcd.put("/aop/hosts/web-3", "no JSON")?;
        etcd.put("/aop/orders/00000000000000000009", "no order")?;
        let _page = serve(stage, &[])?;
        let shown = data(stage, "all are shown", |data| data["fleet"]["sums"]["hosts"] == 3)?;
        ensure!(shown["fleet"]["unreadable"] == 1, "{shown}");
        for path in ["/page.json", "/fleet.json", "/fleet.json?host=web-2"] {
            let body = ask(stage, "GET", path, "localhost")?.body;
            ensure!(!body.contains("\\u001b") && !body.contains("\\u0007"), "{path}: {body}");
            ensure!(!body.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{path}: {body:?}");
        }
        let host = document(stage, "/fleet.json?host=web-2")?;
        ensure!(host["hosts"][0]["report"]["labels"]["ring"] == HOSTILE, "{host}");
        Ok(())
    });
}

/// Writes `hosts` reports that look like that of the real host, with some that are not well.
fn fill(etcd: &EtcdCluster, hosts: usize) -> Result<()> {
    let real: Value = serde_json::from_str(&etcd.value(KEY)?)?;
    // The newest that is not yet told as a wrong clock, so that it lasts longest.
    let now = jiff::Timestamp::now();
    let at = now + Duration::from_secs(80);
    let keys = (2..=hosts).map(|number| {
        let name = format!("web-{number}");
        if number % 97 == 5 {
            let seen = json!({"instance": "x", "at": now - Duration::from_secs(3600)});
            return (format!("/aop/seen/{name}"), seen.to_string());
        }
        let mut report = real.clone();
        report["name"] = name.clone().into();
        report["at"] = json!(at);
        report["state"] = "ok".into();
        (report["warnings"], report["failures"]) = (json!([]), json!([]));
        (report["mode"], report["sites_enforcing"]) = ("enforce".into(), 1.into());
        report["sites"][0]["mode"] = "enforce".into();
        match number % 97 {
            3 => report["labels"]["ring"] = HOSTILE.into(),
            7 => {
                report["state"] = "critical".into();
                report["failures"] = json!([format!("interface eth0 is not filtered {HOSTILE}")]);
            }
            8 | 9 => {
                report["mode"] = "observe".into();
                report["state"] = "warning".into();
                report["warnings"] = json!(["packets are only counted: `aop mode enforce`"]);
            }
            10 => {
                let until = now + Duration::from_secs(420);
                report["pending"] = json!({
                    "mode": "enforce", "ports": [], "interfaces": [], "pulls": 20,
                    "pulls_so_far": 3, "reverts_to": "observe", "until": until,
                });
            }
            11 => report["version"] = "0.0.9".into(),
            _ => {}
        }
        if number % 97 != 4 {
            let mut older = report["sites"][0]["identities"][0].clone();
            older["spki_sha256"] = "ab".repeat(32).into();
            older["first_seen"] = json!(now - Duration::from_secs(86_400));
            older["last_seen"] = json!(now - Duration::from_secs(7_200));
            let newest = report["sites"][0]["identities"][0].take();
            report["sites"][0]["identities"] = json!([newest, older]);
        } else {
            report["sites"][0]["identities"][0]["spki_sha256"] = "ab".repeat(32).into();
        }
        (format!("/aop/hosts/{name}"), report.to_string())
    });
    etcd.put_all(&keys.collect::<Vec<_>>())
}

/// Runs the script of the browser on a fleet of so many hosts. The figures that it measures are in
/// figures.txt beside its screenshots.
fn in_browser(stage: &Stage, etcd: &mut EtcdCluster, browser: &Path, hosts: usize) -> Result<()> {
    stage.edge_is_served()?;
    wait::until("the certificate is reported", REPORTED, || {
        etcd.value(KEY).ok().filter(|report| report.contains("spki_sha256"))
    })?;
    order(stage, "reload --all")?.success()?;
    fill(etcd, hosts)?;
    let mut page = serve(stage, &[])?;
    let folder = std::env::var_os(SCREENSHOTS).map_or(stage.lab.dir().join("page"), PathBuf::from);
    let text = |path: &Path| path.display().to_string();
    let (browser, folder) = (text(browser), text(&folder.join(format!("fleet-{hosts}"))));
    let (hosts, url) = (hosts.to_string(), format!("http://{AT}/"));
    let arguments = ["--browser", &browser, "--url", &url, "--folder", &folder];
    let more = ["--hostile", HOSTILE, "--hosts", &hosts];
    let cases =
        script::run_on_origin(&stage.lab, "fleet_page", &[&arguments[..], &more].concat(), || {
            etcd.kill(0);
            Ok(())
        })?;
    ensure!(cases.len() == 16, "{cases:?}");
    page.signal(Signal::SIGTERM)?;
    page.wait(SOON).map(drop)
}

#[test]
fn a_browser_shows_the_fleet_and_runs_nothing_that_is_in_etcd() {
    let Some(browser) = std::env::var_os(BROWSER).map(PathBuf::from) else {
        return skip(&format!("{BROWSER} is not set: `cargo xtask page`"));
    };
    on_fleet(1, with_status_page, |stage, etcd| {
        await_link(stage, "reporting")?;
        in_browser(stage, etcd, &browser, 12)
    });
}

#[test]
fn a_browser_shows_a_thousand_hosts() {
    let Some(browser) = std::env::var_os(BROWSER).map(PathBuf::from) else {
        return skip(&format!("{BROWSER} is not set: `cargo xtask page`"));
    };
    on_fleet(1, with_status_page, |stage, etcd| {
        await_link(stage, "reporting")?;
        let hosts = std::env::var(HOSTS).ok().and_then(|text| text.parse().ok());
        in_browser(stage, etcd, &browser, hosts.unwrap_or(1200))
    });
}
