use std::{fmt::Write, net::SocketAddr, path::Path};

use aop_config::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Sites `*.0.test`, `*.1.test` and so on, with these upstreams and checks.
fn sites(upstreams: &[(String, &str)]) -> Vec<SiteConfig> {
    let mut text = String::from("[[listener]]\nbind = [\"[::]:443\"]\n");
    for (at, (upstream, check)) in upstreams.iter().enumerate() {
        writeln!(
            text,
            "[[site]]\nhosts = [\"*.{at}.test\"]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \
             [\"a\"]\nupstream = \"{upstream}\"\nupstream_check = {check}"
        )
        .expect("a string");
    }
    Config::parse(Path::new("aop.toml"), &text).expect("a configuration").live.sites
}

/// Waits until each check has a result, and returns the error of each.
async fn asked(checks: &Checks) -> Vec<Option<String>> {
    loop {
        let report = checks.report();
        if report.iter().all(|upstream| upstream.good.is_some()) {
            let error = |upstream: UpstreamReport| {
                assert_eq!(upstream.good, Some(upstream.error.is_none()));
                upstream.error
            };
            return report.into_iter().map(error).collect();
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Answers each request with the status in its path.
async fn http1(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        let head = String::from_utf8(head).expect("text");
        let status = head.split(['/', ' ']).nth(2).unwrap_or_default();
        assert!(head.is_empty() || head.to_lowercase().contains("host: "), "{head}");
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 100000\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok();
    }
}

async fn http2(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        // A client that speaks HTTP/1.1 gets no answer.
        let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
        while let Some(Ok((request, mut answer))) = connection.accept().await {
            let status = request.uri().path().trim_start_matches('/').to_owned();
            let head = Response::builder().status(status.as_str()).body(()).expect("a head");
            answer.send_response(head, true).expect("sent");
        }
    }
}

#[tokio::test]
async fn an_upstream_is_good_if_it_connects_or_answers_and_otherwise_the_error_says_why() {
    let [(first, at1), (second, at2), (silent, at3)] =
        [listener().await, listener().await, listener().await];
    let (closed, at4) = listener().await;
    drop(closed);
    let serving = TaskTracker::new();
    let end = CancellationToken::new();
    serving.spawn(end.clone().run_until_cancelled_owned(http1(first)));
    serving.spawn(end.clone().run_until_cancelled_owned(http2(second)));
    let _end = end.drop_guard();
    let upstreams = [
        (format!("http://{at1}"), "\"/204\""),
        (format!("http://{at1}"), "\"/302\""),
        (format!("http://{at1}"), "\"/500\""),
        (format!("h2c://{at2}"), "\"/200\""),
        (format!("h2c://{at2}"), "\"/404\""),
        (format!("http://{at2}"), "\"/200\""),
        (format!("tcp://{at3}"), "true"),
        (format!("http://{at3}"), "\"/200\""),
        (format!("h2c://{at3}"), "\"/200\""),
        (format!("tcp://{at4}"), "true"),
        ("unix:///nonexistent/socket".to_owned(), "true"),
    ];
    let expected = [
        None,
        None,
        Some("GET /500: it answers 500"),
        None,
        Some("GET /404: it answers 404"),
        Some("GET /200: "),
        None,
        Some("no answer within 2s"),
        Some("no answer within 2s"),
        Some("it cannot be reached: Connection refused"),
        Some("it cannot be reached: No such file"),
    ];
    let checks = Checks::start(&sites(&upstreams));
    for (at, (error, expected)) in asked(&checks).await.iter().zip(expected).enumerate() {
        match expected {
            None => assert_eq!(*error, None, "site {at}"),
            Some(text) => assert!(error.as_ref().is_some_and(|it| it.contains(text)), "{error:?}"),
        }
    }
    drop(silent);
}

#[tokio::test]
async fn a_reload_runs_new_checks_at_once_and_keeps_the_results_of_the_others() {
    let (listener, at) = listener().await;
    let old = (format!("tcp://{at}"), "true");
    let checks = Checks::start(&sites(std::slice::from_ref(&old)));
    assert_eq!(asked(&checks).await, [None]);
    checks.follow(&sites(&[
        old,
        (format!("http://{at}"), "true"),
        (format!("tcp://{at}"), "false"),
    ]));
    let report = checks.report();
    assert_eq!(report.len(), 2, "one site has no check");
    // Both are the same check: an HTTP upstream without a path is only connected to.
    assert!(report.iter().all(|upstream| upstream.good == Some(true)), "{report:?}");
    drop(listener);
    checks.follow(&sites(&[("tcp://127.0.0.1:1".to_owned(), "true")]));
    assert_eq!(checks.report()[0].good, None);
    let errors = timeout(ROUND, asked(&checks)).await.expect("at once");
    assert!(errors[0].is_some());
}
