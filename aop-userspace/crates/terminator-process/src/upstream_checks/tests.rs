use std::{fmt::Write, net::SocketAddr, path::Path};

use aop_config::Config;
use tokio::{net::TcpListener, time::timeout};

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
async fn results(checks: &UpstreamChecks) -> Vec<Option<String>> {
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

#[tokio::test]
async fn a_reload_runs_new_checks_at_once_and_keeps_the_results_of_the_others() {
    let (listener, at) = listener().await;
    let old = (format!("tcp://{at}"), "true");
    let checks = UpstreamChecks::start(&sites(std::slice::from_ref(&old)));
    assert_eq!(results(&checks).await, [None]);
    checks.replace(&sites(&[
        old,
        (format!("http://{at}"), "true"),
        (format!("tcp://{at}"), "false"),
    ]));
    let report = checks.report();
    assert_eq!(report.len(), 2, "one site has no check");
    // Both are the same check: an HTTP upstream without a path is only connected to.
    assert!(report.iter().all(|upstream| upstream.good == Some(true)), "{report:?}");
    drop(listener);
    checks.replace(&sites(&[("tcp://127.0.0.1:1".to_owned(), "true")]));
    assert_eq!(checks.report()[0].good, None);
    let errors = timeout(INTERVAL, results(&checks)).await.expect("at once");
    assert!(errors[0].is_some());
}
