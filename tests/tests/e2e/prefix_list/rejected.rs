//! Responses of a source that are not a valid list, from real incidents and invented ones. None is
//! applied, each is explained, and pulls continue with the old list.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::list_server::ListResponse;
use aop_tests::{IpVersion, ListServer, Pull, cloudflare};
use serde_json::Value;

use super::{list_field, on_fetching_stage, published, refresh_to};
use crate::stage::Stage;

/// A name, the response of the source, and a part of the explanation.
type Case = (&'static str, ListResponse, &'static str);

/// The whole claim: a good list is accepted. Then each of these is refused, explained in the output
/// and in the status, and changes nothing. Then a good list is accepted again.
fn none_is_applied(cases: Vec<Case>) {
    on_fetching_stage(published(), PrefixesTable::Mirror, |stage, server| {
        stage.edge_is_served()?;
        refresh_to(stage, &[], "confirmed")?;
        for (name, response, told) in cases {
            is_refused(stage, server, response, told).with_context(|| name.to_owned())?;
        }
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        server.respond_with(published());
        refresh_to(stage, &[], "confirmed")?;
        ensure!(list_field(&stage.daemon.status()?, "last_error")? == Value::Null);
        Ok(())
    });
}

fn is_refused(
    stage: &Stage,
    server: &ListServer,
    response: ListResponse,
    told: &str,
) -> Result<()> {
    let before = stage.daemon.status()?;
    server.respond_with(response);
    let said = refresh_to(stage, &[], "refused")?;
    let error = said["error"].as_str().context("no error")?;
    ensure!(error.contains(told), "nothing of {told:?}: {error}");
    ensure!(error.contains("the list in force stays"), "{error}");
    ensure!(!error.contains(['\n', '\u{1b}']), "{error:?}");
    let now = stage.daemon.status()?;
    ensure!(list_field(&now, "last_error")? == error, "the status contains another error");
    for field in ["generation", "v4", "v6", "draining", "etag"] {
        ensure!(list_field(&now, field)? == list_field(&before, field)?, "{field} changed");
    }
    stage.edge_is_served()
}

fn raw(status: &str, headers: &[&str], body: &str) -> ListResponse {
    ListResponse::raw(status, headers, body.as_bytes())
}

/// The list without `removed`, with `added` and a new etag.
fn changed(removed: &[&str], added: &[&str]) -> ListResponse {
    ListResponse::json(&cloudflare::api(removed, added, "new"))
}

#[test]
fn incomplete_or_broken_responses_are_refused() {
    let list = cloudflare::api(&[], &["8.8.8.0/24"], "new");
    let length = format!("Content-Length: {}", list.len());
    let longer = format!("Content-Length: {}", list.len() + 10);
    let huge = " ".repeat(300 * 1024);
    let huge_length = format!("Content-Length: {}", huge.len());
    let chunk = |body: &str| format!("{:x}\r\n{body}\r\n", body.len());
    let chunked = "Transfer-Encoding: chunked";
    let slowly = ListResponse::json(&list);
    let ListResponse::Bytes(slowly) = slowly else { panic!("not bytes") };
    none_is_applied(vec![
        ("it hangs up", ListResponse::Bytes(Vec::new()), "cannot fetch the list"),
        ("it speaks another protocol", ListResponse::Bytes(b"220 smtp\r\n".into()), "cannot fetch"),
        (
            "half a header",
            ListResponse::Bytes(b"HTTP/1.1 200 OK\r\nContent-".into()),
            "cannot fetch",
        ),
        ("shorter than announced", raw("200 OK", &[&longer], &list), "truncated"),
        ("no body", raw("200 OK", &["Content-Length: 900"], ""), "truncated: 0 of 900"),
        ("no length", raw("200 OK", &[], &list), "does not state its length"),
        ("cut chunks", raw("200 OK", &[chunked], &chunk(&list)), "truncated"),
        ("too long", raw("200 OK", &[&huge_length], &huge), "over 256 KiB"),
        ("too many chunks", raw("200 OK", &[chunked], &chunk(&huge)), "over 256 KiB"),
        ("compressed", raw("200 OK", &[&length, "Content-Encoding: gzip"], &list), "\"gzip\""),
        ("not text", ListResponse::raw("200 OK", &["Content-Length: 2"], b"\xff\xfe"), "not text"),
        ("silence", ListResponse::Silence, "within 10 s"),
        ("drop by drop", ListResponse::Dripped(slowly, Duration::from_millis(100)), "within 10 s"),
    ]);
}

#[test]
fn responses_with_another_status_than_200_are_refused() {
    let list = cloudflare::api(&[], &["8.8.8.0/24"], "new");
    let length = format!("Content-Length: {}", list.len());
    let elsewhere = ["Location: https://example.com/list", &length];
    none_is_applied(vec![
        ("moved for good", raw("301 Moved Permanently", &elsewhere, &list), "redirected to https"),
        ("moved for now", raw("302 Found", &["Location: /", &length], &list), "redirected to /"),
        ("moved to nowhere", raw("307 Temporary Redirect", &[&length], &list), "to nowhere"),
        ("unchanged, unasked", raw("304 Not Modified", &[], ""), "304"),
        ("no content", raw("204 No Content", &[], ""), "204"),
        ("a part", raw("206 Partial Content", &[&length], &list), "206"),
        ("forbidden", raw("403 Forbidden", &[&length], &list), "403"),
        ("too often", raw("429 Too Many Requests", &[&length], &list), "429"),
        ("broken", raw("500 Internal Server Error", &[&length], &list), "500"),
        ("down", raw("503 Service Unavailable", &[&length], &list), "503"),
    ]);
}

#[test]
fn documents_that_are_not_a_list_are_refused() {
    let list = cloudflare::api(&[], &["8.8.8.0/24"], "new");
    let html = "<!DOCTYPE html><title>Just a moment...</title>8.8.8.0/24";
    let failed = list.replace("\"success\":true", "\"success\":false");
    let failed = failed.replace("\"errors\":[]", "\"errors\":[{\"code\":7003}]");
    let no_v6 = list.replace("ipv6_cidrs", "ipv6");
    let numbers = r#"{"success":true,"result":{"ipv4_cidrs":[1],"ipv6_cidrs":[]}}"#;
    let nobody = r#"{"success":true,"result":{"ipv4_cidrs":[],"ipv6_cidrs":[]}}"#;
    let json = ListResponse::json;
    none_is_applied(vec![
        (
            "a challenge",
            ListResponse::ok("text/html; charset=UTF-8", &[], html),
            "an HTML page, not a list",
        ),
        ("a page called JSON", json(html), "an HTML page"),
        ("nothing", json(""), "not the JSON"),
        ("lines", ListResponse::ok("text/plain", &[], &cloudflare::list()), "not the JSON"),
        ("a cut document", json(list.split_at(200).0), "not the JSON"),
        ("two documents", json(&format!("{list}{list}")), "not the JSON"),
        ("another document", json("[\"8.8.8.0/24\"]"), "not the JSON"),
        ("a failure", json(&failed), "7003"),
        ("no result", json(r#"{"success":true,"result":null}"#), "no result"),
        ("a family missing", json(&no_v6), "ipv6_cidrs"),
        ("numbers", json(numbers), "not the JSON"),
        ("nobody", json(nobody), "no prefix"),
        ("a terminal's commands", json("\u{1b}[2J\n8.8.8.0/24"), "not the JSON"),
    ]);
}

#[test]
fn implausible_lists_are_refused() {
    let v4_only: Vec<&str> =
        cloudflare::PREFIXES.into_iter().filter(|prefix| prefix.contains(':')).collect();
    let most: Vec<&str> = cloudflare::PREFIXES[..12].to_vec();
    let pieces: Vec<String> = (20..40).map(|first| format!("{first}.0.0.0/10")).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let four = ["103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "190.93.240.0/20"];
    let same = cloudflare::api(&[], &["8.8.8.0/24"], "38f79d050aa027e3be3865e495dcc9bc");
    let added = |prefix| changed(&[], &[prefix]);
    none_is_applied(vec![
        ("no prefix", added("stranger"), "is not a CIDR"),
        ("bits behind the length", added("8.8.8.8/24"), "has bits set beyond its length"),
        ("everybody", added("0.0.0.0/0"), "is too wide"),
        ("everybody over IPv6", added("::/0"), "is too wide"),
        ("half of everybody", added("128.0.0.0/1"), "is too wide"),
        ("much of everybody", added("8.0.0.0/9"), "too wide"),
        ("everybody in pieces", changed(&[], &pieces), "too much of the Internet"),
        ("a private network", added("10.1.0.0/16"), "(private)"),
        ("a private network of IPv6", added("fd12::/32"), "(unique local)"),
        ("this host", added("127.0.0.0/24"), "(loopback)"),
        ("a neighbour", added("fe80::/64"), "(link-local)"),
        ("a carrier's network", added("100.64.0.0/24"), "(carrier-grade NAT)"),
        ("multicast", added("224.0.0.0/24"), "(multicast)"),
        ("the stranger of this test", added("198.51.100.0/24"), "(documentation)"),
        ("IPv4 in disguise", added("::ffff:8.8.8.0/120"), "is an IPv4-mapped network"),
        ("no IPv6", changed(&v4_only, &[]), "0 IPv6 prefixes"),
        ("hardly any IPv4", changed(&most, &[]), "3 IPv4 prefixes"),
        ("a canary missing", changed(&["104.16.0.0/13"], &[]), "104.16.0.0/13 is missing"),
        ("four gone at once", changed(&four, &[]), "remove 4 of 15 IPv4 prefixes"),
        ("the same edition", ListResponse::json(&same), "has the etag of the list in force"),
    ]);
}
