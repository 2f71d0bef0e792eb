//! Answers as Cloudflare's reference shows them, and answers that it should never give.

use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;

use super::*;
use crate::{AssociationChange, CertificateAndKey, CertificateLevel};

const ID: &str = "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60";

fn zone() -> crate::ZoneId {
    "023e105f4ecef8ad9ca31a8372d0c353".parse().expect("an id")
}

fn answered(call: &Call, status: u16, body: &Value) -> Result<Answer, ApiError> {
    let body = body.to_string().into_bytes();
    read(call, &HttpAnswer { status, retry_after: None, body })
}

fn good(call: &Call, result: &Value) -> Result<Answer, ApiError> {
    answered(call, 200, &json!({"success": true, "errors": [], "messages": [], "result": result}))
}

fn list() -> Call {
    Call::Certificates { zone: zone(), level: CertificateLevel::Zone, page: 1 }
}

fn upload() -> Call {
    let pair = CertificateAndKey {
        certificate: String::new(),
        private_key: zeroize::Zeroizing::new(String::new()).into(),
    };
    Call::Upload { zone: zone(), level: CertificateLevel::Zone, pair }
}

fn delete() -> Call {
    let id = ID.parse().expect("an id");
    Call::Delete { zone: zone(), level: CertificateLevel::Zone, id }
}

fn association_of(host: &str) -> Call {
    Call::Association { zone: zone(), host: host.parse().expect("a host") }
}

/// A leaf `edge`, issued by `test CA`.
fn leaf_in_pem() -> String {
    let params = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut ca = params("test CA");
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let leaf = params("edge").signed_by(&key(), &Issuer::new(ca, key()));
    leaf.expect("a certificate").pem()
}

fn certificate_of(status: &str, text: &str) -> Value {
    json!({
        "id": ID, "certificate": text, "issuer": "a CA", "signature": "SHA256WithRSA",
        "status": status, "expires_on": "2100-01-01T05:20:00Z", "enabled": true,
        "uploaded_on": "2019-10-28T18:11:23.37411Z", "private_key": "never read",
    })
}

#[test]
fn each_published_answer_is_read() {
    let name = "example.com".parse().expect("a host");
    let zones = json!([{"id": zone().as_str(), "name": "example.com", "status": "active",
                        "account": {"id": "x", "name": "Mine"}}]);
    let Ok(Answer::Zones(found)) = good(&Call::Zones { name }, &zones) else { panic!("no zones") };
    assert_eq!(
        (found[0].name.as_str(), found[0].account.as_deref()),
        ("example.com", Some("Mine"))
    );

    let ssl = Call::SslMode { zone: zone() };
    for (text, mode) in [("strict", SslMode::Strict), ("x", SslMode::Unknown("x".to_owned()))] {
        assert_eq!(good(&ssl, &json!({"id": "ssl", "value": text})), Ok(Answer::SslMode(mode)));
    }
    let global = Call::GlobalSwitch { zone: zone() };
    assert_eq!(good(&global, &json!({"value": "on"})), Ok(Answer::Switch(true)));
    assert_eq!(good(&global, &json!({"value": "off"})), Ok(Answer::Switch(false)));
    assert!(matches!(good(&global, &json!({"value": "x"})), Err(ApiError::NotUnderstood { .. })));
    let set = Call::SetZone { zone: zone(), on: true };
    assert_eq!(good(&set, &json!({"enabled": true})), Ok(Answer::Switch(true)));
    let token = good(&Call::VerifyToken, &json!({"id": "x", "status": "active"}));
    let status = TokenStatus { status: "active".to_owned(), expires_on: None };
    assert_eq!(token, Ok(Answer::Token(status)));
    assert_eq!(good(&delete(), &json!({"id": ID})), Ok(Answer::Done));
    let hosts = Vec::<AssociationChange>::new();
    assert_eq!(good(&Call::Associate { zone: zone(), hosts }, &json!([])), Ok(Answer::Done));
}

#[test]
fn a_certificate_is_read_with_the_facts_of_its_leaf() {
    let leaf = leaf_in_pem();
    let result = certificate_of("pending_deployment", &leaf);
    for result in [&result, &json!([result])] {
        let Ok(Answer::Certificate(read)) = good(&upload(), result) else { panic!("{result}") };
        assert_eq!(read.status, DeploymentStatus::PendingDeployment);
        assert_eq!(read.id.as_str(), ID);
        assert_eq!(read.expires_on.map(|it| it.as_second()), Some(4_102_464_000));
        let facts = read.leaf.expect("a leaf");
        assert_eq!(
            (facts.subject.as_str(), &facts.issuers[..]),
            ("CN=edge", &["CN=test CA".to_owned()][..])
        );
        assert_eq!(facts.sha256, facts.uploaded().sha256());
        assert_eq!(facts.spki_sha256.len(), 64);
    }
    let Ok(Answer::Certificate(read)) = good(&upload(), &certificate_of("new_word", "no PEM"))
    else {
        panic!("a certificate");
    };
    assert_eq!(read.status, DeploymentStatus::Unknown("new_word".to_owned()));
    assert_eq!(read.leaf, None);
}

#[test]
fn a_list_tells_whether_another_page_follows() {
    let page = |info: Value| {
        let body = json!({"success": true, "result": [certificate_of("active", "")],
                          "result_info": info});
        match answered(&list(), 200, &body) {
            Ok(Answer::Certificates { page, more }) => (page.len(), more),
            other => panic!("{other:?}"),
        }
    };
    let info =
        |page, total| json!({"page": page, "per_page": 50, "count": 1, "total_count": total});
    assert_eq!(page(info(1, 1)), (1, false));
    assert_eq!(page(info(1, 2)), (1, true));
    assert_eq!(page(Value::Null), (1, false));
    // A list that ignores the page would repeat itself for ever.
    assert_eq!(page(info(7, 2)), (1, false));
    assert_eq!(page(json!({})), (1, false));
}

#[test]
fn a_host_without_an_association_is_no_error() {
    let call = association_of("a.example.com");
    let entry = json!({"hostname": "a.example.com", "cert_id": ID, "cert_status": "active",
                       "status": "active", "enabled": false, "expires_on": null});
    for result in [entry.clone(), json!([{"hostname": "b.example.com"}, entry])] {
        let Ok(Answer::Association(Some(found))) = good(&call, &result) else { panic!("{result}") };
        assert_eq!((found.certificate.as_str(), found.enabled), (ID, Some(false)));
        assert_eq!(found.certificate_status, Some(DeploymentStatus::Active));
    }
    for result in [json!(null), json!([]), json!({"hostname": "a.example.com", "cert_id": ""})] {
        assert_eq!(good(&call, &result), Ok(Answer::Association(None)), "{result}");
    }
    for result in [json!({}), json!({"hostname": "b.example.com", "cert_id": ID})] {
        let error = good(&call, &result).expect_err("of no host, or of another one");
        assert!(error.to_string().contains("not about a.example.com"), "{error}");
    }
    let gone = json!({"success": false, "errors": [{"code": 1430, "message": "not found"}]});
    assert_eq!(answered(&call, 404, &gone), Ok(Answer::Association(None)));
    assert!(answered(&delete(), 404, &gone).is_err_and(|error| error.is_gone()));
    // A list is not gone, and a page of a proxy does not tell that a host or a certificate is.
    assert!(answered(&list(), 404, &gone).is_err_and(|error| !error.is_gone()));
    let page = HttpAnswer { status: 404, retry_after: None, body: b"<html>".to_vec() };
    for call in [&call, &delete(), &list()] {
        let error = read(call, &page).expect_err("a page");
        assert!(!error.is_gone() && error.to_string().contains("a proxy on the way"), "{error}");
    }
}

#[test]
fn a_refusal_has_the_texts_of_the_api_and_the_cure() {
    let refused = |call: &Call, status, code: i64, message: &str| {
        let body = json!({"success": false, "errors": [{"code": code, "message": message}],
                          "messages": [], "result": null});
        match answered(call, status, &body) {
            Err(error @ ApiError::Refused { cure, .. }) => (cure, error.to_string()),
            other => panic!("{other:?}"),
        }
    };
    let associate = Call::Associate { zone: zone(), hosts: Vec::new() };
    for (call, status, code, message, cure, said) in [
        (&list(), 403, 9109, "Unauthorized to access", RefusalCure::Token, "token_file"),
        (&list(), 403, 10000, "Authentication error", RefusalCure::Token, "token_file"),
        (&list(), 401, 1000, "Invalid API Token", RefusalCure::Token, "token_file"),
        (&list(), 400, 6003, "Invalid request headers", RefusalCure::Token, "token_file"),
        (&list(), 404, 7003, "Could not route", RefusalCure::UnknownZone, "another account"),
        (&delete(), 404, 1, "not found", RefusalCure::Gone, "dashboard"),
        (&upload(), 400, 1, "Missing leaf certificate", RefusalCure::NotALeaf, "the leaf"),
        (&upload(), 400, 1, "weak key", RefusalCure::BadCertificate, "v3 leaf"),
        (&associate, 400, 1, "too many", RefusalCure::BadAssociation, "at most 100"),
        (&list(), 400, 1, "\u{1b}[31mno", RefusalCure::Other, "\\u{1b}[31mno"),
    ] {
        let (found, text) = refused(call, status, code, message);
        assert_eq!(found, cure, "{text}");
        assert!(text.contains(said) && text.contains(&format!("({code})")), "{text}");
        assert!(text.starts_with(&call.to_string()) && !text.contains('\u{1b}'), "{text}");
    }
    // A refusal may come with the status 200, and without JSON from a proxy on the way.
    let body = json!({"success": false, "errors": [], "result": null});
    assert!(matches!(answered(&list(), 200, &body), Err(ApiError::Refused { .. })));
    let page = HttpAnswer { status: 403, retry_after: None, body: b"<html>".to_vec() };
    let error = read(&list(), &page).expect_err("refused").to_string();
    assert!(error.contains("(HTTP status 403): it gives no reason. The answer has not"), "{error}");
}

#[test]
fn a_limit_of_the_rate_says_for_how_long_within_bounds() {
    for (header, seconds) in [
        (Some("7"), 7),
        (Some(" 9 "), 9),
        (Some("0"), 1),
        (Some("86400"), 300),
        (None, 60),
        (Some("x"), 60),
    ] {
        let retry_after = header.map(str::to_owned);
        let answer = HttpAnswer { status: 429, retry_after, body: Vec::new() };
        for call in [list(), upload()] {
            match read(&call, &answer) {
                Err(error @ ApiError::RateLimited { retry_after, .. }) => {
                    assert_eq!(retry_after, seconds, "{header:?}");
                    assert!(error.changed_nothing());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_lost_answer_leaves_a_change_unclear_and_a_question_open() {
    let good = json!({"success": true, "result": 7}).to_string();
    for (status, body) in [
        (500, "{}"),
        (502, "<html>"),
        (503, &*json!({"success": false, "errors": []}).to_string()),
        (524, ""),
        (200, ""),
        (200, "{\"success\": tr"),
        (200, "<html>"),
        (200, &*good),
        (307, ""),
    ] {
        let answer = || HttpAnswer { status, retry_after: None, body: body.as_bytes().to_vec() };
        let asked = read(&list(), &answer()).expect_err("no answer");
        match status {
            500.. => assert!(matches!(asked, ApiError::Unavailable { .. }), "{asked}"),
            _ => assert!(matches!(asked, ApiError::NotUnderstood { .. }), "{asked}"),
        }
        let changed = read(&upload(), &answer()).expect_err("no answer");
        assert!(matches!(changed, ApiError::Unclear { .. }), "{status} {body}: {changed}");
        assert!(
            changed.to_string().contains("look before you repeat it") && !changed.changed_nothing()
        );
    }
}
