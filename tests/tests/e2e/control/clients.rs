//! Clients that hang or flood the control socket, and a daemon that hangs.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aop_tests::{IpVersion, Pull, wait};
use nix::sys::signal::Signal;

use super::{connect, send_to};
use crate::stage::{SOON, on_stage};

#[test]
fn hung_clients_delay_others_for_a_bounded_time_and_take_no_thread_each() {
    on_stage(|stage| {
        let threads = || -> Result<u32> { Ok(stage.daemon.process()?.status("Threads")?.parse()?) };
        let before = threads()?;
        let hung: Vec<UnixStream> =
            (0..200).map(|_| connect(stage, "control.sock")).collect::<Result<_>>()?;
        // Firewall and terminator do not depend on the control socket.
        stage.edge_is_served()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_meet_silence()?;
        ensure!(threads()? <= before + 4, "{} threads, {before} before", threads()?);
        drop(hung);
        let asked = Instant::now();
        stage.daemon.status()?;
        ensure!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
        Ok(())
    });
}

#[test]
fn a_flood_of_requests_is_answered_or_queued_and_changes_nothing() {
    on_stage(|stage| {
        let stage = &*stage;
        let wrong = std::thread::scope(|scope| {
            let flood: Vec<_> = (0..8)
                .map(|number| {
                    scope.spawn(move || -> Result<usize> {
                        let mut wrong = 0;
                        for round in 0..50 {
                            let (line, sign) = match (number + round) % 3 {
                                0 => (&b"{\"verb\":\"status\"}\n"[..], "{\"ok\":{"),
                                1 => (&b"{\"verb\":\"identities\"}\n"[..], "{\"ok\":{"),
                                _ => (&b"garbage\n"[..], "{\"error\":"),
                            };
                            let answer = send_to(stage, "control.sock", line)?;
                            wrong += usize::from(!answer.starts_with(sign));
                        }
                        Ok(wrong)
                    })
                })
                .collect();
            stage.edge_is_served()?;
            let mut wrong = 0;
            for client in flood {
                wrong += client.join().expect("no panic")?;
            }
            Ok::<_, anyhow::Error>(wrong)
        })?;
        ensure!(wrong == 0, "{wrong} of 400 answers were others");
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn a_hung_daemon_is_reported_within_seconds() {
    on_stage(|stage| {
        stage.daemon.signal(Signal::SIGSTOP)?;
        let asked = Instant::now();
        let told = stage.daemon.verb(&["status"])?;
        let took = asked.elapsed();
        stage.daemon.signal(Signal::SIGCONT)?;
        ensure!(told.code == 1 && took < Duration::from_secs(8), "{took:?}: {told:?}");
        ensure!(told.errors.contains("has given no answer for 5 s"), "{}", told.errors);
        wait::until("it answers again", SOON, || stage.daemon.status().ok())?;
        stage.edge_is_served()
    });
}
