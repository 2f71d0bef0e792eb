//! During upgrades `/readyz` always answers, and never with "not ready".

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use aop_tests::{client, wait};
use nix::sys::signal::Signal;

use super::{ends, is_the_daemon};
use crate::monitor::{AT, ask, monitored};
use crate::stage::{SOON, Stage, on_changed_stage, on_stage};

fn ready(stream: impl Read + Write) -> Result<()> {
    let (status, body) = ask(stream, "GET /readyz")?;
    ensure!(status == 200, "{status}: {body}");
    Ok(())
}

/// Calls `ask` repeatedly during two upgrades.
fn ask_during_upgrades(stage: &mut Stage, ask: impl Fn() -> Result<()> + Sync) -> Result<()> {
    ask().context("before")?;
    let session = stage.open()?;
    let (done, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let serving = &*stage;
    let more = || {
        let until = asked.load(Ordering::Relaxed) + 50;
        wait::until("it is asked", SOON, || {
            (done.load(Ordering::Relaxed) || asked.load(Ordering::Relaxed) > until).then_some(())
        })
        .with_context(|| serving.daemon.log())
    };
    let last = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let answered = ask().with_context(|| format!("question {number}"));
                if answered.is_err() {
                    done.store(true, Ordering::Relaxed);
                    return answered;
                }
            }
            Ok(())
        });
        let upgrade = || {
            let mut last = None;
            for _ in 0..2 {
                more()?;
                let new = serving.daemon.upgrade()?;
                is_the_daemon(serving, new)?;
                more()?;
                last = Some(new);
            }
            last.context("no process")
        };
        let last = upgrade();
        done.store(true, Ordering::Relaxed);
        asking.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        last
    })?;
    // The exit of the old process changes nothing.
    drop(session);
    ensure!(stage.daemon.wait(SOON)? == 0, "{}", stage.daemon.log());
    ask().context("after the old process has exited")?;
    last.signal(Signal::SIGTERM)?;
    ends(last)?;
    ensure!(ask().is_err(), "it is still answered");
    Ok(())
}

#[test]
fn over_tcp_it_is_ready_all_the_time() {
    on_changed_stage(monitored, |stage| {
        let netns = stage.lab.origin().clone();
        ask_during_upgrades(stage, || ready(client::connect(&netns, AT.parse()?)?))
    });
}

#[test]
fn over_a_unix_socket_it_is_ready_all_the_time() {
    on_stage(|stage| {
        let path = stage.lab.dir().join("monitor.sock");
        let table = format!("[monitor]\nlisten = \"unix:{}\"", path.display());
        stage.daemon.kill();
        stage.daemon.write(&format!("{}\n{table}\n", stage.config.text()))?;
        stage.daemon.run()?;
        ask_during_upgrades(stage, || ready(UnixStream::connect(&path)?))?;
        ensure!(!path.exists(), "the socket is left");
        Ok(())
    });
}
