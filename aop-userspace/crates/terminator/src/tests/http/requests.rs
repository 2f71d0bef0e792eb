//! The requests that reach the application, and the responses that come back.

use aop_config::{ClientCertForwarding, ForwardedHeaders, HeaderNames};
use hyper::{
    HeaderMap,
    body::{Bytes, Frame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    application::{Application, Frames, whole},
    before_h2c, before_http1,
    client::{Client, edge, raw, until},
};
use crate::tests::rig::{Rig, RigConfig, SITE};

#[tokio::test]
async fn each_http_version_of_the_peer_reaches_each_version_of_the_upstream() {
    for (rig, application) in [before_http1().await, before_h2c().await] {
        for mut client in [Client::http1(&rig).await, Client::http2(&rig).await] {
            let response = client.get("/a?b=c").await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["x-application"], "1");
            let (body, _) = whole(response.into_body()).await.unwrap();
            assert_eq!(body, b"the application answers /a");
        }
        let asked = application.asked();
        assert_eq!(asked.len(), 2);
        for asked in asked {
            assert_eq!(asked.head.uri.path_and_query().unwrap(), "/a?b=c");
            let authority = asked.head.uri.authority().map(ToString::to_string);
            assert_eq!(
                asked.values("host").first().map_or(authority, |host| Some(host.to_string())),
                Some(SITE.into())
            );
        }
        rig.counters_when(|counters| counters.relayed == 2 && counters.accepted == 2).await;
    }
}

#[tokio::test]
async fn bodies_and_trailers_pass_for_all_four_pairs_of_versions() {
    for (rig, application) in [before_http1().await, before_h2c().await] {
        for mut client in [Client::http1(&rig).await, Client::http2(&rig).await] {
            let data = Bytes::from(vec![b'x'; 1_000_000]);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            trailers.insert("x-forwarded-for", "forged".parse().unwrap());
            let request = client
                .request("POST", "/echo")
                .header("te", "trailers")
                .header("trailer", "grpc-status, x-forwarded-for")
                .body(Frames::of([
                    Frame::data(data.clone()),
                    Frame::data(data),
                    Frame::trailers(trailers),
                ]));
            let response = client.send(request.unwrap()).await.unwrap();
            let (body, trailers) = whole(response.into_body()).await.unwrap();
            assert_eq!(body.len(), 2_000_000);
            assert_eq!(trailers["grpc-status"], "0");
        }
        for asked in application.asked() {
            assert_eq!(asked.body.len(), 2_000_000);
            assert_eq!(asked.trailers["grpc-status"], "0");
            assert!(!asked.trailers.contains_key("x-forwarded-for"), "{:?}", asked.trailers);
            assert_eq!(asked.values("te"), ["trailers"]);
        }
    }
}

#[tokio::test]
async fn only_aop_tells_the_application_about_the_visitor() {
    let application = Application::http1().await;
    let config = RigConfig::upstream(&application.url()).relayed(|http| {
        http.forwarded = ForwardedHeaders::Both;
        http.client_cert = ClientCertForwarding::Shown;
    });
    let rig = Rig::with(config).await;
    let mut stream = edge(&rig, &[], SITE).await;
    let forged = "GET / HTTP/1.1\r\nHost: EXAMPLE.com:443\r\nCF-Connecting-IP: 2001:db8::7\r\n\
        X-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\nFORWARDED: for=10.0.0.1\r\n\
        X-SSL-Client-Verify: SUCCESS\r\nX_SSL_Client_Verify: SUCCESS\r\nClient-Cert: :forged:\r\n\
        client_cert: :forged:\r\nConnection: keep-alive, Client-Cert, x-forwarded-for\r\n\r\n";
    stream.write_all(forged.as_bytes()).await.unwrap();
    until(&mut stream, "the application answers /").await;
    let asked = application.asked_once();
    assert_eq!(asked.values("x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(asked.values("x-forwarded-proto"), ["https"]);
    assert_eq!(asked.values("x-forwarded-host"), ["example.com:443"]);
    let forwarded = "for=\"[2001:db8::7]\";proto=https;host=\"example.com:443\"";
    assert_eq!(asked.values("forwarded"), [forwarded]);
    let [certificate] = asked.values("client-cert")[..] else { panic!("one certificate") };
    assert!(certificate.starts_with(":MII") && certificate.ends_with(':'), "{certificate}");
    for (name, value) in &asked.head.headers {
        let text = value.to_str().unwrap();
        assert!(!text.contains("forged") && !text.contains("10.0.0.1"), "{name}: {text}");
        assert!(!name.as_str().contains("ssl") && !name.as_str().contains('_'), "{name}");
    }
}

#[tokio::test]
async fn requests_of_many_peers_share_an_idle_upstream_connection() {
    let (rig, application) = before_http1().await;
    for _ in 0..3 {
        let mut client = Client::http1(&rig).await;
        for path in ["/one", "/empty", "/echo", "/two"] {
            let response = client.get(path).await.unwrap();
            whole(response.into_body()).await.unwrap();
        }
    }
    assert_eq!((application.asked().len(), application.connections()), (12, 1));
}

#[tokio::test]
async fn expect_100_continue_is_answered_once_the_application_is_reached() {
    let (rig, application) = before_http1().await;
    let mut stream = edge(&rig, &[], SITE).await;
    let head = "POST /echo HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\n\
        Content-Length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"body").await.unwrap();
    until(&mut stream, "body").await;
    assert_eq!(application.asked_once().body, b"body");

    let refused = "POST /echo HTTP/1.1\r\nHost: other.test\r\nExpect: 100-continue\r\n\
        Content-Length: 4\r\nConnection: close\r\n\r\n";
    let answer = raw(&rig, refused.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
}

#[tokio::test]
async fn a_head_of_128_kib_passes_in_both_versions() {
    let (rig, application) = before_http1().await;
    for mut client in [Client::http1(&rig).await, Client::http2(&rig).await] {
        let mut request = client.request("GET", "/");
        for number in 0..8 {
            request = request.header(format!("x-long-{number}"), "x".repeat(15_900));
        }
        let request = request.body(Frames::default()).unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), 200);
    }
    for asked in application.asked() {
        assert_eq!(asked.values("x-long-7")[0].len(), 15_900);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let (rig, application) = before_http1().await;
    let answer = raw(&rig, b"GET /old HTTP/1.0\r\nHost: example.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("the application answers /old"), "{answer}");
    assert_eq!(application.asked().len(), 1);
}

#[tokio::test]
async fn a_site_that_relays_bytes_offers_no_alpn_protocol() {
    let rig = Rig::new().await;
    let stream = edge(&rig, &["h2", "http/1.1"], SITE).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
}

#[tokio::test]
async fn a_request_reaches_http1_with_its_length_and_in_the_case_that_the_site_configures() {
    for (names, host, length) in [
        (HeaderNames::Lower, "\r\nhost: example.com\r\n", "\r\ncontent-length: 0\r\n"),
        (HeaderNames::Title, "\r\nHost: example.com\r\n", "\r\nContent-Length: 0\r\n"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let config = RigConfig::upstream(&upstream).relayed(|http| http.header_names = names);
        let rig = Rig::with(config).await;
        let mut client = Client::http2(&rig).await;
        let request = client.request("POST", "/").body(Frames::default()).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap().into());
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            head
        };
        let (response, head) = tokio::join!(client.send(request), serve);
        assert_eq!(response.unwrap().status(), 204);
        assert!(head.contains(host) && head.contains(length), "{head}");
    }
}
