//! Notifications to the service manager (sd_notify), in order.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{AopToml, Lab, TestDaemon, wait};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::stage::{SOON, in_lab};

/// The notification socket of the service manager.
struct NotifySocket(UnixDatagram);

impl NotifySocket {
    /// Creates the socket and sets NOTIFY_SOCKET for `daemon`.
    fn create(lab: &Lab, daemon: &mut TestDaemon) -> Result<Self> {
        let path = lab.dir().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(SOON))?;
        daemon.set_env("NOTIFY_SOCKET", &path.display().to_string());
        Ok(Self(socket))
    }

    /// The lines of the next notification.
    fn receive(&self) -> Result<Vec<String>> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).context("no notification")?;
        let text = std::str::from_utf8(&bytes[..length])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The next notification that is not from the watchdog. Its lines must begin with `expected`.
    fn receives(&self, expected: &[&str]) -> Result<Vec<String>> {
        let notice = loop {
            let notice = self.receive()?;
            if notice != ["WATCHDOG=1"] {
                break notice;
            }
        };
        let like = |(line, expected): (&String, &&str)| line.starts_with(*expected);
        let right = notice.len() == expected.len() && notice.iter().zip(expected).all(like);
        ensure!(right, "{notice:?} instead of {expected:?}");
        Ok(notice)
    }
}

/// The monotonic clock in microseconds, which a service manager uses.
fn now() -> Result<i64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000)
}

#[test]
fn start_reload_upgrade_and_stop_are_notified_in_order() {
    in_lab(|lab| {
        let mut daemon = TestDaemon::prepare(lab)?;
        let good = AopToml::new(lab).text();
        daemon.write(&good)?;
        let socket = NotifySocket::create(lab, &mut daemon)?;
        daemon.run()?;
        socket.receives(&["READY=1", "STATUS=serving"])?;

        for (text, status) in [
            (good.clone() + "\n[nonsense]\n", "STATUS=serving with the old configuration: "),
            (good, "STATUS=serving"),
        ] {
            daemon.write(&text)?;
            let before = now()?;
            daemon.reload()?;
            let told = socket.receives(&["RELOADING=1", "MONOTONIC_USEC="])?;
            let at: i64 = told[1].trim_start_matches("MONOTONIC_USEC=").parse()?;
            ensure!((before..=now()?).contains(&at), "{at}");
            socket.receives(&["READY=1", status])?;
        }

        // The old process notifies until the new one is the main process, and then only the new
        // one.
        let new = daemon.upgrade()?;
        socket.receives(&[&format!("MAINPID={}", new.0)])?;
        socket.receives(&["READY=1", "STATUS=serving"])?;
        ensure!(daemon.wait(SOON)? == 0);
        new.signal(Signal::SIGTERM)?;
        socket.receives(&["STOPPING=1", "STATUS="])?;
        Ok(())
    });
}

#[test]
fn the_watchdog_is_notified_by_a_running_daemon_and_not_by_a_stopped_one() {
    in_lab(|lab| {
        let mut daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        let socket = NotifySocket::create(lab, &mut daemon)?;
        daemon.set_env("WATCHDOG_USEC", "400000");
        daemon.run()?;
        let watchdog = |count: usize| -> Result<()> {
            let watchdog = || (socket.receive().ok()? == ["WATCHDOG=1"]).then_some(());
            (0..count).try_for_each(|_| wait::until("a watchdog notification", SOON, watchdog))
        };
        watchdog(1)?;
        let begun = Instant::now();
        watchdog(5)?;
        let each = begun.elapsed() / 5;
        ensure!(each >= Duration::from_millis(100), "one in {each:?}");
        daemon.signal(Signal::SIGSTOP)?;
        socket.0.set_read_timeout(Some(Duration::from_millis(600)))?;
        while socket.receive().is_ok() {}
        daemon.signal(Signal::SIGCONT)?;
        socket.0.set_read_timeout(Some(SOON))?;
        watchdog(2)?;
        // The successor continues.
        let new = daemon.upgrade()?;
        ensure!(daemon.wait(SOON)? == 0);
        watchdog(5)?;
        ensure!(new.exists());
        Ok(())
    });
}

#[test]
fn a_watchdog_for_another_process_is_not_notified() {
    in_lab(|lab| {
        let mut daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        let socket = NotifySocket::create(lab, &mut daemon)?;
        daemon.set_env("WATCHDOG_USEC", "200000");
        daemon.set_env("WATCHDOG_PID", "1");
        daemon.run()?;
        ensure!(socket.receive()?[0] == "READY=1");
        socket.0.set_read_timeout(Some(Duration::from_millis(500)))?;
        ensure!(socket.receive().is_err(), "it is notified");
        Ok(())
    });
}
