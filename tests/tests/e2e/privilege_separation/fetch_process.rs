//! A process without privilege fetches the prefix list, and exits after that.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::list_server::ListResponse;
use aop_tests::process::TcpState;
use aop_tests::{Process, cloudflare, wait};
use nix::sys::signal::Signal;

use super::{has_no_connection, has_no_privilege};
use crate::prefix_list::{on_fetching_stage, refresh_to};
use crate::stage::{SOON, Stage};

/// The fetch process, while it is connected.
fn fetching(stage: &Stage) -> Result<Process> {
    let daemon = stage.daemon.process()?;
    wait::until("there is a fetch process", SOON, || {
        let fetches = |child: &Process| {
            let connected = child.tcp_sockets().is_ok_and(|it| it.contains(&TcpState::ESTABLISHED));
            connected && child.command().is_ok_and(|line| line.contains(&"fetch-list".to_owned()))
        };
        daemon.children().ok()?.into_iter().find(fetches)
    })
}

#[test]
fn during_a_fetch_the_fetch_process_has_no_privilege_and_the_daemon_no_connection() {
    on_fetching_stage(ListResponse::Silence, PrefixesTable::Mirror, |stage, server| {
        let (fetcher, refused) = thread::scope(|scope| -> Result<_> {
            let refresh = scope.spawn(|| refresh_to(stage, &[], "refused"));
            let fetcher = fetching(stage)?;
            has_no_privilege(fetcher)?;
            has_no_connection(stage.daemon.process()?)?;
            Ok((fetcher, refresh.join().expect("no panic")?))
        })?;
        let told = refused["error"].as_str().unwrap_or_default();
        ensure!(told.contains("within 10 s"), "{refused}");
        ensure!(!fetcher.exists(), "it still runs after its answer");

        server.respond_with(ListResponse::json(&cloudflare::api(&[], &["8.8.8.0/24"], "e2")));
        let applied = refresh_to(stage, &[], "applied")?;
        ensure!(applied["added"] == serde_json::json!(["8.8.8.0/24"]), "{applied}");
        stage.edge_is_served()
    });
}

#[test]
fn a_fetch_process_that_dies_is_a_refused_refresh() {
    on_fetching_stage(ListResponse::Silence, PrefixesTable::Mirror, |stage, server| {
        let refused = thread::scope(|scope| -> Result<_> {
            let refresh = scope.spawn(|| refresh_to(stage, &[], "refused"));
            let fetcher = fetching(stage)?;
            fetcher.signal(Signal::SIGKILL)?;
            refresh.join().expect("no panic")
        })?;
        let told = refused["error"].as_str().unwrap_or_default();
        ensure!(told.contains("returned no list") && told.contains("stays"), "{refused}");
        server.respond_with(ListResponse::json(&cloudflare::api(&[], &[], "e2")));
        refresh_to(stage, &[], "confirmed")?;
        stage.edge_is_served()
    });
}

#[test]
fn a_fetch_process_dies_with_its_daemon() {
    on_fetching_stage(ListResponse::Silence, PrefixesTable::Mirror, |stage, _| {
        let fetcher = thread::scope(|scope| -> Result<_> {
            let refresh = scope.spawn(|| stage.daemon.verb(&["prefixes", "refresh"]));
            let fetcher = fetching(stage)?;
            let daemon = stage.daemon.process()?;
            daemon.signal(Signal::SIGKILL)?;
            ensure!(refresh.join().expect("no panic")?.code == 1);
            Ok(fetcher)
        })?;
        wait::until("it is gone", Duration::from_secs(2), || (!fetcher.exists()).then_some(()))
    });
}
