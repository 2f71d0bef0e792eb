//! A request's host belongs to the site of its connection.

use std::time::Duration;

use hyper::Request;

use super::{
    Application, Denial, Rig, RigConfig, SITE,
    application::Frames,
    before_http1,
    client::{Client, edge, raw},
};

async fn asked_for(rig: &Rig, server_name: &str, host: &str) -> String {
    let mut stream = edge(rig, &[], server_name).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    super::client::to_end(&mut stream).await
}

#[tokio::test]
async fn a_host_of_the_same_site_is_served_however_it_is_written() {
    let (rig, application) = before_http1().await;
    let hosts = [
        "example.com",
        "EXAMPLE.com.",
        "example.com:8443",
        "xample.com",
        "www.example.com",
        "WWW.Example.Com.:443",
    ];
    for host in hosts {
        let answer = asked_for(&rig, SITE, host).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let answer = asked_for(&rig, "www.example.com", SITE).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(application.asked().len(), hosts.len() + 1);
}

#[tokio::test]
async fn a_host_of_another_site_or_of_none_is_misdirected() {
    let (rig, application) = before_http1().await;
    let hosts = [
        "other.test",
        "unknown.test",
        "a.b.example.com",
        "127.0.0.1",
        "[::1]:443",
        "*.example.com",
    ];
    for host in hosts {
        let answer = asked_for(&rig, SITE, host).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{host}: {answer}");
        assert!(answer.contains("was not opened for"), "{answer}");
        assert!(!answer.contains("other"), "the response names other sites: {answer}");
    }
    let mut client = Client::http2(&rig).await;
    let request = Request::get("https://other.test/").body(Frames::default()).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 421);
    // The connection stays usable.
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    rig.denied(Denial::HostMismatch, hosts.len() as u64 + 1).await;
    assert_eq!(application.asked().len(), 1);
}

#[tokio::test]
async fn also_hosts_allows_hosts_by_name() {
    let application = Application::http1().await;
    let config = RigConfig::upstream(&application.url()).relayed(|http| {
        http.also_hosts = vec!["custom.test".parse().unwrap(), "*.saas.test".parse().unwrap()];
    });
    let rig = Rig::with(config).await;
    for host in ["custom.test", "a.saas.test:443"] {
        assert!(asked_for(&rig, SITE, host).await.starts_with("HTTP/1.1 200 "), "{host}");
    }
    for host in ["saas.test", "a.b.saas.test", "x.custom.test"] {
        assert!(asked_for(&rig, SITE, host).await.starts_with("HTTP/1.1 421 "), "{host}");
    }
    assert_eq!(application.asked().len(), 2);
}

#[tokio::test]
async fn missing_repeated_and_contradicting_hosts_are_refused() {
    let (rig, application) = before_http1().await;
    let requests = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.com\r\nhost: other.test\r\n\r\n",
        "GET https://other.test/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "GET https://example.com/ HTTP/1.1\r\nHost: other.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.com:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    ];
    for request in requests {
        let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        let answer = raw(&rig, request.as_bytes()).await;
        assert!(answer.contains(" 400 "), "{request}: {answer}");
    }
    let mut client = Client::http2(&rig).await;
    let request = Request::get("https://example.com/").header("host", "other.test");
    let response = client.send(request.body(Frames::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 400);
    rig.denied(Denial::BadHost, requests.len() as u64 + 1).await;
    assert_eq!(application.connections(), 0);

    let absolute = "GET https://example.com/a?b HTTP/1.1\r\nHost: EXAMPLE.com\r\n\
        Connection: close\r\n\r\n";
    assert!(raw(&rig, absolute.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(application.asked_once().head.uri, "/a?b");
}

#[tokio::test]
async fn a_new_also_host_applies_to_open_connections() {
    let (mut rig, _application) = before_http1().await;
    let mut client = Client::http2(&rig).await;
    let ask = || Request::get("https://custom.test/").body(Frames::default()).unwrap();
    assert_eq!(client.send(ask()).await.unwrap().status(), 421);
    rig.change_http(|http| http.also_hosts.push("custom.test".parse().unwrap()));
    rig.service.reload(rig.policy(|_| true), Duration::from_secs(10));
    assert_eq!(client.send(ask()).await.unwrap().status(), 200);
}
