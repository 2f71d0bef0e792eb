//! Tests of requests and their answers.

use aop_config::StatusPage;
use aop_http::ResponseHead;

use super::*;
use crate::{
    page::{FleetPages, Page, PageStatus, Pages},
    routes::{FleetRoutes, HostRoutes},
};

struct TestPages;

impl Pages for TestPages {
    async fn health(&self) -> Page {
        Page::text(PageStatus::Good, "alive")
    }

    async fn readiness(&self) -> Page {
        Page::text(PageStatus::Unavailable, "draining")
    }

    async fn metrics(&self, accept: &str) -> Page {
        Page { status: PageStatus::Failed, content_type: "text/x", body: accept.to_owned() }
    }

    async fn overview(&self) -> Page {
        Page::json("{}".to_owned())
    }
}

impl FleetPages for TestPages {
    async fn overview(&self) -> Page {
        Page::json("{}".to_owned())
    }

    async fn report(&self, host: Option<&str>) -> Page {
        Page::json(format!("{host:?}"))
    }
}

async fn ask(method: &str, path: &str) -> (ResponseHead, String) {
    ask_for(method, path, "localhost:9465", StatusPage::Off).await
}

async fn ask_for(
    method: &str,
    path: &str,
    host: &str,
    status_page: StatusPage,
) -> (ResponseHead, String) {
    answer_of(&HostRoutes { pages: TestPages, status_page }, method, path, host).await
}

async fn ask_fleet(method: &str, path: &str, host: &str) -> (ResponseHead, String) {
    answer_of(&FleetRoutes(TestPages), method, path, host).await
}

async fn answer_of(
    routes: &impl Routes,
    method: &str,
    path: &str,
    host: &str,
) -> (ResponseHead, String) {
    let mut request = RequestHead::default();
    request.method.extend_from_slice(method.as_bytes());
    request.path.extend_from_slice(path.as_bytes());
    request.fields.push(b"accept", b"a format");
    request.fields.push(b"host", host.as_bytes());
    let (head, body) = response(&request, routes).await;
    (head, body.into_owned())
}

#[tokio::test]
async fn each_path_has_its_page() {
    for (path, status, kind, body) in [
        ("/healthz", 200, "text/plain; charset=utf-8", "alive\n"),
        ("/readyz?full", 503, "text/plain; charset=utf-8", "draining\n"),
        ("/metrics", 500, "text/x", "a format"),
    ] {
        let (response, text) = ask("GET", path).await;
        assert_eq!((response.status, text.as_str()), (status, body));
        let first = |name: &str| response.fields.first(name.as_bytes());
        assert_eq!(first("content-type"), Some(kind.as_bytes()));
        assert_eq!(first("cache-control"), Some(&b"no-store"[..]));
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    assert_eq!(ask("GET", "/").await.0.status, 404);
    let (response, _) = ask("POST", "/healthz").await;
    let allowed = response.fields.first(b"allow");
    assert_eq!((response.status, allowed), (405, Some(&b"GET, HEAD"[..])));
}

#[tokio::test]
async fn each_connection_has_one_answer_and_malformed_requests_have_their_reason() {
    for (request, head, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", "200 OK", "alive\n"),
        ("HEAD /healthz HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\n"),
        ("GET /healthz HTTP/1.1\n\n", "400 Bad Request", "a line does not end in CR LF\n"),
    ] {
        let (mut client, stream) = tokio::io::duplex(4096);
        client.write_all(request.as_bytes()).await.unwrap();
        let routes = HostRoutes { pages: TestPages, status_page: StatusPage::Off };
        serve(Box::new(stream), &routes).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {head}\r\n")), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with(body) && answer.matches("HTTP/1.1").count() == 1, "{answer}");
    }
}

/// The fields of a page and of its data that tell a browser what it may do.
fn is_strict(head: &ResponseHead, kind: &str, policy: &str) {
    for (name, value) in [
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(head.fields.first(name.as_bytes()), Some(value.as_bytes()), "{name}");
    }
    let told = head.fields.first(b"content-security-policy").unwrap_or_default();
    assert!(told.starts_with(policy.as_bytes()), "{told:?}");
}

const OF_PAGE: &str = "default-src 'none'; script-src 'sha256-";
const OF_DATA: &str = "default-src 'none'; frame-ancestors 'none'";

#[tokio::test]
async fn the_status_page_and_its_data_are_served_under_a_strict_policy() {
    for method in ["GET", "HEAD"] {
        let (head, text) = ask_for(method, "/", "127.0.0.1:9465", StatusPage::Served).await;
        assert!(head.status == 200 && text.starts_with("<!doctype html>"), "{text}");
        is_strict(&head, "text/html; charset=utf-8", OF_PAGE);
        let (head, text) = ask_for(method, "/page.json?at=1", "[::1]:1", StatusPage::Served).await;
        assert_eq!((head.status, text.as_str()), (200, "{}"));
        is_strict(&head, "application/json", OF_DATA);
    }
}

#[tokio::test]
async fn the_page_of_a_fleet_and_its_data_are_served_under_a_strict_policy() {
    let (head, text) = ask_fleet("GET", "/", "localhost:9470").await;
    assert!(head.status == 200 && text.starts_with("<!doctype html>"), "{text}");
    is_strict(&head, "text/html; charset=utf-8", OF_PAGE);
    for (path, body) in [
        ("/page.json", "{}"),
        ("/fleet.json", "None"),
        ("/fleet.json?host=web-1", "Some(\"web-1\")"),
    ] {
        let (head, text) = ask_fleet("GET", path, "localhost:9470").await;
        assert_eq!((head.status, text.as_str()), (200, body), "{path}");
        is_strict(&head, "application/json", OF_DATA);
    }
    for (path, status) in [("/metrics", 404), ("/fleet.json?x", 400)] {
        assert_eq!(ask_fleet("GET", path, "localhost").await.0.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_foreign_host_or_another_method_gets_nothing_of_a_fleet() {
    for path in ["/", "/page.json", "/fleet.json", "/other"] {
        let (head, text) = ask_fleet("GET", path, "evil.example:9470").await;
        assert_eq!(head.status, 421, "{path}");
        assert!(text.contains("http://localhost") && text.len() < 300, "{text}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let (head, _) = ask_fleet(method, path, "localhost").await;
            assert_eq!(head.status, 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_status_page_is_absent_unless_it_is_on() {
    for path in ["/", "/page.json"] {
        assert_eq!(ask("GET", path).await.0.status, 404, "{path}");
        let (head, _) = ask_for("GET", path, "localhost", StatusPage::Served).await;
        assert_eq!(head.status, 200, "{path}");
    }
    assert!(ask("GET", "/").await.1.contains("monitor.page = true"));
}

#[tokio::test]
async fn a_foreign_host_reads_neither_the_status_page_nor_its_data() {
    for path in ["/", "/page.json"] {
        let served = ask_for("GET", path, "localhost", StatusPage::Served).await;
        assert_eq!(served.0.status, 200, "{path}");
        let (head, text) = ask_for("GET", path, "evil.example:9465", StatusPage::Served).await;
        assert_eq!(head.status, 421, "{path}");
        assert!(text.contains("http://localhost") && text.len() < 300, "{text}");
    }
}

#[tokio::test]
async fn health_and_metrics_may_be_asked_under_any_name() {
    for path in ["/healthz", "/readyz", "/metrics"] {
        let named = ask_for("GET", path, "aop", StatusPage::Served).await;
        let local = ask_for("GET", path, "localhost", StatusPage::Served).await;
        assert_eq!((named.0.status, named.1), (local.0.status, local.1), "{path}");
    }
}

#[tokio::test]
async fn the_status_page_takes_no_method_that_changes_something() {
    for path in ["/", "/page.json"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            let (head, _) = ask_for(method, path, "localhost", StatusPage::Served).await;
            let allowed = head.fields.first(b"allow");
            assert_eq!((head.status, allowed), (405, Some(&b"GET, HEAD"[..])), "{method} {path}");
        }
    }
}
