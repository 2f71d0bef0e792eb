//! `/metrics`: the values agree with the status, Prometheus can read them, and requests for them do
//! not disturb pulls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, IpVersion, Lab, Promtool, Pull, StatusJson, client, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::monitor::{AT, exchange, monitored};
use crate::stage::{SOON, Stage, in_ci, on_changed_stage, skip};

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/monitoring");
const DASHBOARDS: [&str; 2] = ["dashboard.json", "dashboard-fleet.json"];

/// The values of the series, by name and labels.
type Page = BTreeMap<String, u64>;

/// promtool. Without it, a part of the test is skipped, but not in CI.
fn promtool() -> Option<Promtool> {
    let promtool = Promtool::installed();
    if promtool.is_none() {
        assert!(!in_ci(), "CI must have promtool: cargo xtask setup");
        skip("no promtool: cargo xtask setup");
    }
    promtool
}

/// The head and the body of the response to a request with this Accept header.
fn scrape_as(lab: &Lab, accept: &str) -> Result<(String, String)> {
    let stream = client::connect(lab.origin(), AT.parse()?)?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
    let (head, body) = exchange(stream, &request)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok((head.to_ascii_lowercase(), body))
}

fn series(text: &str) -> Result<Page> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        Ok((name.to_owned(), value.parse().with_context(|| line.to_owned())?))
    };
    let pairs: Vec<(String, u64)> = samples.map(sample).collect::<Result<_>>()?;
    let count = pairs.len();
    let page: Page = pairs.into_iter().collect();
    ensure!(page.len() == count, "a series is told twice: {text}");
    Ok(page)
}

/// Requests the page until `holds` is true of it. aop caches the page for a second.
fn scraped(stage: &Stage, what: &str, holds: impl Fn(&Page) -> bool) -> Result<Page> {
    let page = || series(&scrape_as(&stage.lab, "*/*")?.1);
    wait::until(what, SOON * 2, || page().ok().filter(&holds))
        .with_context(|| format!("{:?}", scrape_as(&stage.lab, "*/*")))
}

fn labelled(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// The series of the counters in a status, and no others.
fn counters(status: &StatusJson) -> Result<Page> {
    let mut page = Page::new();
    for verdict in status.verdicts()? {
        let labels = [
            ("interface", verdict.interface.as_str()),
            ("action", &verdict.action),
            ("reason", &verdict.reason),
        ];
        page.insert(labelled("aop_packets_total", &labels), verdict.packets);
        page.insert(labelled("aop_packet_bytes_total", &labels), verdict.bytes);
    }
    page.insert("aop_handshakes_accepted_total".into(), status.accepted()?);
    page.insert("aop_requests_relayed_total".into(), status.relayed()?);
    let json = status.json();
    page.insert(
        "aop_handshakes_would_refuse_total".into(),
        json["handshakes"]["would_refuse"].as_u64().context("would_refuse")?,
    );
    for (name, list) in [
        ("aop_handshakes_refused_total", &json["handshakes"]["refused"]),
        (
            "aop_handshakes_refused_from_admitted_total",
            &json["handshakes"]["refused_from_admitted"],
        ),
        ("aop_handshakes_observed_total", &json["handshakes"]["observed"]),
        (
            "aop_handshakes_observed_from_admitted_total",
            &json["handshakes"]["observed_from_admitted"],
        ),
        ("aop_requests_refused_total", &json["requests"]["refused"]),
    ] {
        for refused in list.as_array().with_context(|| name.to_owned())? {
            let text = |field: &str| refused[field].as_str().context("no text");
            let labels = [("site", text("site")?), ("reason", text("reason")?)];
            page.insert(labelled(name, &labels), refused["count"].as_u64().context("no count")?);
        }
    }
    Ok(page)
}

#[test]
fn after_served_refused_and_dropped_pulls_the_metrics_agree_with_the_status() {
    let checked = |config: &mut AopToml, lab: &Lab| {
        monitored(config, lab);
        config.site().rules.push("upstream_check = true".into());
    };
    on_changed_stage(checked, |stage| {
        let edge = || Pull::by_edge(&stage.lab, IpVersion::V4);
        stage.edge_is_served()?;
        let naked = edge().no_certificate();
        naked.must_be_refused()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        let wanted = |page: &Page| {
            let refused = labelled(
                "aop_handshakes_refused_from_admitted_total",
                &[("site", "example.com"), ("reason", "certificate_required")],
            );
            page.contains_key(&refused) && page.keys().any(|name| name.contains("\"drop\""))
        };
        scraped(stage, "all three are told", wanted)?;
        // If a counter has moved in the meantime, both are read again.
        let told = wait::until("figures that agree", SOON * 4, || {
            let status = stage.daemon.status().ok()?;
            thread::sleep(Duration::from_millis(1100));
            let page = series(&scrape_as(&stage.lab, "*/*").ok()?.1).ok()?;
            let count = |page: &Page| -> Page {
                let counts = |name: &str| {
                    let name = name.split('{').next().unwrap_or_default();
                    name.ends_with("_total") && name != "aop_drop_events_lost_total"
                };
                page.iter().filter(|(name, _)| counts(name)).map(|(n, v)| (n.clone(), *v)).collect()
            };
            (count(&page) == counters(&status).ok()?).then_some((status, page))
        });
        let (status, page) = told.with_context(|| {
            let status = stage.daemon.status().and_then(|status| counters(&status));
            format!("{status:?}\n{:?}", scrape_as(&stage.lab, "*/*"))
        })?;
        let json = status.json();
        let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_u64);
        let says = |name: &str, value: Option<u64>| {
            ensure!(value.is_some() && page.get(name).copied() == value, "{name}: {page:?} {json}");
            Ok(())
        };
        says("aop_prefixes{family=\"ipv4\"}", number("/prefixes/v4"))?;
        says("aop_prefixes{family=\"ipv6\"}", number("/prefixes/v6"))?;
        says("aop_prefixes_draining", number("/prefixes/draining"))?;
        says("aop_prefixes_generation", number("/prefixes/generation"))?;
        says("aop_open_connections", number("/daemon/open_connections"))?;
        says("aop_interface_attached{interface=\"eth0\"}", Some(1))?;
        says("aop_interface_enforcing{interface=\"eth0\"}", Some(1))?;
        says("aop_mode_enforcing", Some(1))?;
        says("aop_ready", Some(1))?;
        says("aop_terminator_up", Some(1))?;
        says("aop_firewall_loaded", Some(1))?;
        says("aop_drop_events_lost_total", Some(0))?;
        says("aop_upstream_up{site=\"example.com\"}", Some(1))?;
        says("aop_identities{site=\"example.com\"}", Some(1))?;
        let version = json["version"].as_str().context("no version")?;
        says(&labelled("aop_build_info", &[("version", version)]), Some(1))?;
        for kind in ["server_certificate", "client_ca"] {
            let named = format!("aop_not_after_timestamp_seconds{{kind=\"{kind}\",file=\"");
            let ends = page.iter().find(|(name, _)| name.starts_with(&named));
            ensure!(ends.is_some_and(|(_, end)| *end > 1_700_000_000), "{kind}: {page:?}");
        }
        Ok(())
    });
}

#[test]
fn prometheus_reads_both_formats_and_its_linter_finds_nothing() {
    on_changed_stage(monitored, |stage| {
        stage.edge_is_served()?;
        Pull::by_edge(&stage.lab, IpVersion::V4).no_certificate().must_be_refused()?;
        let (head, text) = scrape_as(&stage.lab, "*/*")?;
        ensure!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        if let Some(promtool) = promtool() {
            promtool.finds_nothing(&["check", "metrics"], text.as_bytes())?;
        }
        let (head, open) = scrape_as(&stage.lab, "application/openmetrics-text;version=1.0.0")?;
        ensure!(head.contains("content-type: application/openmetrics-text"), "{head}");
        ensure!(open.ends_with("\n# EOF\n"), "{open}");
        let names = |page: &Page| page.keys().cloned().collect::<Vec<_>>();
        ensure!(names(&series(&open)?) == names(&series(&text)?), "{open}\n{text}");
        Ok(())
    });
}

#[test]
fn a_hung_terminator_is_reported_and_its_counters_do_not_fall_to_zero() {
    on_changed_stage(monitored, |stage| {
        stage.edge_is_served()?;
        let accepted = "aop_handshakes_accepted_total";
        scraped(stage, "the pull is counted", |page| page.get(accepted) == Some(&1))?;
        let terminator = Pid::from_raw(i32::try_from(stage.daemon.terminator()?.0)?);
        kill(terminator, Signal::SIGSTOP)?;
        let page = scraped(stage, "it is down", |page| page.get("aop_terminator_up") == Some(&0))?;
        ensure!(!page.contains_key(accepted) && page["aop_ready"] == 0, "{page:?}");
        ensure!(page["aop_interface_enforcing{interface=\"eth0\"}"] == 1, "{page:?}");
        kill(terminator, Signal::SIGCONT)?;
        scraped(stage, "it is back", |page| page.get(accepted) == Some(&1))?;
        stage.daemon.write("nonsense")?;
        stage.daemon.reload()?;
        scraped(stage, "a bad reload", |page| page.get("aop_last_reload_successful") == Some(&0))?;
        stage.reload()?;
        scraped(stage, "a good one", |page| page.get("aop_last_reload_successful") == Some(&1))?;
        stage.daemon.verb(&["unload"])?.success()?;
        scraped(stage, "it is unloaded", |page| page.get("aop_firewall_loaded") == Some(&0))?;
        Ok(())
    });
}

#[test]
fn pulls_are_served_during_a_flood_of_scrapes() {
    on_changed_stage(monitored, |stage| {
        let (over, scrapes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let stage = &*stage;
        thread::scope(|scope| -> Result<()> {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Relaxed) {
                        if scrape_as(&stage.lab, "*/*").is_ok() {
                            scrapes.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
            let served = (0..20).try_for_each(|_| stage.edge_is_served());
            over.store(true, Relaxed);
            served
        })?;
        ensure!(scrapes.load(Relaxed) > 20, "{scrapes:?} scrapes");
        Ok(())
    });
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let Some(promtool) = promtool() else { return };
    for (verb, file) in [("check", "alerts.yaml"), ("test", "alerts.test.yaml")] {
        let path = format!("{MONITORING}/{file}");
        if let Err(error) = promtool.finds_nothing(&[verb, "rules", &path], &[]) {
            panic!("{error:#}");
        }
    }
    let read = |file: &str| fs::read_to_string(format!("{MONITORING}/{file}")).expect("a file");
    let (alerts, tests) = (read("alerts.yaml"), read("alerts.test.yaml"));
    let names: Vec<&str> =
        alerts.lines().filter_map(|it| it.split_once("- alert: ")).map(|it| it.1).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let fires = format!("alertname=\"{name}\", alertstate=\"firing\", instance");
        assert!(tests.contains(&fires), "no test in which {name} fires");
    }
}

#[test]
fn alerts_and_dashboards_use_only_metrics_that_exist() {
    let checked = |config: &mut AopToml, lab: &Lab| {
        monitored(config, lab);
        config.site().rules.push("upstream_check = true".into());
    };
    on_changed_stage(checked, |stage| {
        scraped(stage, "the upstream is checked", |page| {
            page.keys().any(|name| name.starts_with("aop_upstream_up"))
        })?;
        let (_, text) = scrape_as(&stage.lab, "*/*")?;
        let told: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let alerts = fs::read_to_string(format!("{MONITORING}/alerts.yaml"))?;
        let conditions = alerts.lines().filter(|line| !line.contains("description:"));
        let queries = DASHBOARDS.into_iter().map(queries_of).collect::<Result<Vec<_>>>()?.concat();
        for query in queries.iter().map(String::as_str).chain(conditions) {
            for name in metrics_in(query) {
                ensure!(told.contains(name), "{name} is not told, and asked for in {query}");
            }
        }
        Ok(())
    });
}

#[test]
fn each_query_of_the_dashboards_is_one_that_prometheus_takes() {
    let Some(promtool) = promtool() else { return };
    for board in DASHBOARDS {
        let queries = queries_of(board).expect("a dashboard");
        let rules = queries.iter().enumerate().map(|(at, query)| {
            let query = query.replace("$__rate_interval", "5m");
            json!({ "record": format!("query:{at}"), "expr": query })
        });
        let rules: Vec<Value> = rules.collect();
        // YAML is a superset of JSON.
        let file = json!({ "groups": [{ "name": board, "rules": rules }] }).to_string();
        if let Err(error) =
            promtool.finds_nothing(&["check", "rules", "/dev/stdin"], file.as_bytes())
        {
            panic!("{board}: {error:#}");
        }
    }
}

/// The queries of a dashboard; each asks for a metric of aop.
fn queries_of(board: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("{MONITORING}/{board}"))?;
    let json: Value = serde_json::from_str(&text).with_context(|| board.to_owned())?;
    let panels = json["panels"].as_array().context("no panels")?;
    let targets = panels.iter().flat_map(|it| it["targets"].as_array().into_iter().flatten());
    let query = |target: &Value| {
        let query = target["expr"].as_str().unwrap_or_default();
        ensure!(metrics_in(query).count() > 0, "{board}: {target}");
        Ok(query.to_owned())
    };
    let queries = targets.map(query).collect::<Result<Vec<_>>>()?;
    ensure!(queries.len() > 15, "{board}: {queries:?}");
    Ok(queries)
}

/// The names of aop's metrics in a query.
fn metrics_in(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("aop_"))
}
