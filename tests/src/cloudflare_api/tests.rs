//! Claims about the server itself, by plain HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use rcgen::{CertificateParams, IsCa, KeyPair};
use serde_json::json;

use super::*;

const PAUSE: Duration = Duration::from_millis(5);

fn server() -> CloudflareApi {
    let api =
        CloudflareApi::on(TcpListener::bind("127.0.0.1:0").expect("bound")).expect("a server");
    api.edit(|state| {
        state.add_token("sesame", "mine");
        state.add_zone("example.com", "mine");
        state.add_zone("example.net", "another");
    });
    api
}

fn ask(api: &CloudflareApi, token: &str, line: &str, body: &Value) -> Option<(u16, Value)> {
    let (method, path) = line.split_once(' ').expect("a line");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(api.server.address).expect("connected");
    write!(
        stream,
        "{method} {}{path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        http::BASE,
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}

fn zone(api: &CloudflareApi, name: &str) -> String {
    api.edit_zone(name, |zone| format!("/zones/{}/origin_tls_client_auth", zone.id))
}

fn pair(change: impl FnOnce(&mut CertificateParams)) -> Value {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    json!({ "certificate": certificate, "private_key": key.serialize_pem() })
}

#[test]
fn the_newest_deployed_certificate_of_the_highest_level_is_presented() {
    let api = server();
    let aop = zone(&api, "example.com");
    let presented = || api.presented("www.example.com").map(|it| (it.level, it.certificate));
    api.edit(|state| state.global = Some(("global".into(), "key".into())));
    assert_eq!(presented(), None);
    api.edit_zone("example.com", |zone| zone.global = true);
    assert_eq!(presented(), Some(("global", "global".to_owned())));
    let put = ask(&api, "sesame", &format!("PUT {aop}/settings"), &json!({"enabled": true}));
    assert_eq!(put.expect("answered").1["result"], json!({"enabled": true}));
    assert_eq!(presented().expect("the global one").0, "global");
    let (first, second) = (pair(|_| ()), pair(|_| ()));
    for pair in [&first, &second] {
        let (status, told) = ask(&api, "sesame", &format!("POST {aop}"), pair).expect("answered");
        assert_eq!((status, &told["result"]["status"]), (200, &json!("active")), "{told}");
        assert_eq!(presented(), Some(("zone", pair["certificate"].as_str().unwrap().to_owned())));
    }
    let upload = format!("POST {aop}/hostnames/certificates");
    let (_, told) = ask(&api, "sesame", &upload, &first).expect("answered");
    let id = told["result"]["id"].as_str().expect("an id").to_owned();
    let associate = |enabled: Value| {
        let entry = json!({"hostname": "www.example.com", "cert_id": id, "enabled": enabled});
        let line = format!("PUT {aop}/hostnames");
        ask(&api, "sesame", &line, &json!({"config": [entry]})).expect("answered").0
    };
    assert_eq!(associate(json!(true)), 200);
    assert_eq!(presented().expect("one").0, "host");
    assert_eq!(associate(json!(false)), 200);
    assert_eq!(presented(), None, "a disabled association sends none");
    assert_eq!(associate(json!(null)), 200);
    assert_eq!(presented().expect("one").0, "zone");
    api.edit_zone("example.com", |zone| zone.ssl = "flexible".to_owned());
    assert_eq!(presented(), None);
}

#[test]
fn a_status_passes_through_its_states_and_lists_lag() {
    let api = server();
    let aop = zone(&api, "example.com");
    let step = Duration::from_millis(150);
    let delays = Delays { initializing: step, deployment: step, deletion: step, list_lag: step };
    api.edit(|state| state.delays = delays);
    let begun = Instant::now();
    let (_, told) = ask(&api, "sesame", &format!("POST {aop}"), &pair(|_| ())).expect("answered");
    assert_eq!(told["result"]["status"], "initializing");
    let id = told["result"]["id"].as_str().expect("an id").to_owned();
    let get = || ask(&api, "sesame", &format!("GET {aop}/{id}"), &Value::Null).expect("answered");
    let listed = || {
        let (_, told) = ask(&api, "sesame", &format!("GET {aop}"), &Value::Null).expect("answered");
        told["result"].as_array().expect("a list").len()
    };
    assert_eq!(listed(), 0, "the list lags");
    let mut states = Vec::new();
    while begun.elapsed() < step * 3 {
        let status = get().1["result"]["status"].clone();
        if states.last() != Some(&status) {
            states.push(status);
        }
        sleep(PAUSE);
    }
    assert_eq!(states, ["initializing", "pending_deployment", "active"]);
    assert_eq!(listed(), 1);
    ask(&api, "sesame", &format!("DELETE {aop}/{id}"), &Value::Null).expect("answered");
    assert_eq!(get().1["result"]["status"], "pending_deletion");
    assert_eq!(listed(), 1);
    sleep(step * 2 + PAUSE);
    assert_eq!((get().0, listed()), (404, 0));
    api.edit(|state| {
        (state.delays, state.deployments_time_out) = (Delays::default(), true);
    });
    let (_, told) = ask(&api, "sesame", &format!("POST {aop}"), &pair(|_| ())).expect("answered");
    assert_eq!(told["result"]["status"], "deployment_timed_out");
}

#[test]
fn bad_tokens_zones_and_certificates_are_refused_with_a_number() {
    let api = server();
    let (aop, theirs) = (zone(&api, "example.com"), zone(&api, "example.net"));
    api.edit(|state| state.add_narrow_token("narrow", "mine", &[Scope::SslRead]));
    let ca = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    let mut mismatched = pair(|_| ());
    mismatched["private_key"] = pair(|_| ())["private_key"].clone();
    let no_pem = json!({"certificate": "x", "private_key": "y"});
    for (token, line, body, status, code) in [
        ("wrong", "GET /user/tokens/verify".to_owned(), Value::Null, 401, 1000),
        ("wrong", format!("GET {aop}"), Value::Null, 403, 9109),
        ("narrow", format!("POST {aop}"), pair(|_| ()), 403, 10000),
        ("narrow", "GET /zones?name=example.com".to_owned(), Value::Null, 403, 10000),
        ("sesame", format!("GET {theirs}"), Value::Null, 403, 9109),
        ("sesame", "GET /zones/none/settings/ssl".to_owned(), Value::Null, 404, 7003),
        ("sesame", "GET /zone".to_owned(), Value::Null, 404, 7000),
        ("sesame", format!("POST {aop}"), pair(ca), 400, 1402),
        ("sesame", format!("POST {aop}"), mismatched, 400, 1406),
        ("sesame", format!("POST {aop}"), no_pem, 400, 1401),
        ("sesame", format!("GET {aop}/hostnames/www.example.com"), Value::Null, 404, 1490),
        ("sesame", format!("PUT {aop}/hostnames"), json!({"config": [{}]}), 400, 1420),
    ] {
        let (got, told) = ask(&api, token, &line, &body).expect("answered");
        assert_eq!((got, &told["errors"][0]["code"]), (status, &json!(code)), "{line}: {told}");
        assert_eq!(told["success"], json!(false));
    }
    let (_, seen) = ask(&api, "sesame", "GET /zones?name=example.net", &Value::Null).expect("it");
    assert_eq!(seen["result"], json!([]), "a zone of another account is not seen");
}

#[test]
fn planned_faults_meet_the_planned_calls() {
    let api = server();
    let aop = zone(&api, "example.com");
    let get = format!("GET {aop}");
    let post = format!("POST {aop}");
    let count = || api.edit_zone("example.com", |zone| zone.certificates.len());
    let ask = |line: &str, body: &Value| ask(&api, "sesame", line, body).map(|it| it.0);
    api.plan(PlannedFault::nth(2, Fault::StatusBefore(500)).on("GET", "/origin_tls"));
    api.plan(PlannedFault::next(Fault::CutAfter).on("POST", ""));
    api.plan(PlannedFault::next(Fault::CutBefore).on("POST", ""));
    let got: Vec<_> = (0..3).map(|_| ask(&get, &Value::Null)).collect();
    assert_eq!(got, [Some(200), Some(500), Some(200)]);
    assert_eq!((ask(&post, &pair(|_| ())), count()), (None, 1), "cut after the effect");
    assert_eq!((ask(&post, &pair(|_| ())), count()), (None, 1), "cut before the effect");
    assert_eq!((ask(&post, &pair(|_| ())), count()), (Some(200), 2));
    api.plan(PlannedFault::next(Fault::RateLimit(7)).times(2));
    assert_eq!([(); 3].map(|()| ask(&get, &Value::Null)), [Some(429), Some(429), Some(200)]);
    let calls = api.calls();
    let statuses: Vec<_> = calls.iter().map(|call| call.status).collect();
    let (ok, cut) = (Some(200), None);
    let wanted = [ok, Some(500), ok, cut, cut, ok, Some(429), Some(429), ok];
    assert_eq!(statuses, wanted);
    assert_eq!(calls[0].line(), get);
    assert_eq!(calls[0].authorization.as_deref(), Some("Bearer sesame"));
}

#[test]
fn a_long_list_comes_in_pages_and_a_certificate_has_at_most_100_hosts() {
    let api = server();
    let aop = zone(&api, "example.com");
    let id = api.edit(|state| {
        state.page_size = 2;
        (0..5).map(|_| state.store("example.com", true, "x", "y")).last().expect("an id")
    });
    let pages: Vec<u64> = (1..=3)
        .map(|page| {
            let line = format!("GET {aop}/hostnames/certificates?page={page}&per_page=50");
            let (_, told) = ask(&api, "sesame", &line, &Value::Null).expect("answered");
            assert_eq!(told["result_info"]["total_count"], json!(5));
            told["result_info"]["count"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(pages, [2, 2, 1]);
    let associate = |range: std::ops::Range<usize>| {
        let config: Vec<Value> = range
            .map(|n| json!({"hostname": format!("h{n}.example.com"), "cert_id": id, "enabled": true}))
            .collect();
        let line = format!("PUT {aop}/hostnames");
        ask(&api, "sesame", &line, &json!({"config": config})).expect("answered").0
    };
    assert_eq!(associate(0..101), 400);
    assert_eq!(associate(0..100), 200);
    assert_eq!(associate(0..1), 200, "a host that has it already");
    assert_eq!(associate(100..101), 400);
    let in_use = format!("DELETE {aop}/hostnames/certificates/{id}");
    assert_eq!(ask(&api, "sesame", &in_use, &Value::Null).expect("answered").0, 400);
}
