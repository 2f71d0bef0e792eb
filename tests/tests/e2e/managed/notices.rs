//! What the service manager is told, in its order.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aop_tests::{Config, Daemon, World, wait};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::stage::{SOON, in_a_world};

/// The service manager's ear.
struct Ear(UnixDatagram);

impl Ear {
    /// Makes `daemon` tell it everything.
    fn of(world: &World, daemon: &mut Daemon) -> Result<Self> {
        let path = world.dir().join("notify");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(SOON))?;
        daemon.tell("NOTIFY_SOCKET", &path.display().to_string());
        Ok(Self(socket))
    }

    /// The lines of the next notice.
    fn hears(&self) -> Result<Vec<String>> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).context("nothing is told")?;
        let text = std::str::from_utf8(&bytes[..length])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The next one that is no sign of life has these lines, or lines that begin so.
    fn hears_of(&self, expected: &[&str]) -> Result<Vec<String>> {
        let notice = loop {
            let notice = self.hears()?;
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

/// Microseconds of the clock by which a service manager measures.
fn now() -> Result<i64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000)
}

#[test]
fn start_reload_upgrade_and_end_are_told_in_their_order() {
    in_a_world(|world| {
        let mut daemon = Daemon::prepare(world)?;
        let good = Config::new(world).text();
        daemon.write(&good)?;
        let ear = Ear::of(world, &mut daemon)?;
        daemon.run()?;
        ear.hears_of(&["READY=1", "STATUS=serving"])?;

        for (text, status) in [
            (good.clone() + "\n[nonsense]\n", "STATUS=serving with the old configuration: "),
            (good, "STATUS=serving"),
        ] {
            daemon.write(&text)?;
            let before = now()?;
            daemon.reload()?;
            let told = ear.hears_of(&["RELOADING=1", "MONOTONIC_USEC="])?;
            let at: i64 = told[1].trim_start_matches("MONOTONIC_USEC=").parse()?;
            ensure!((before..=now()?).contains(&at), "{at}");
            ear.hears_of(&["READY=1", status])?;
        }

        // The old one speaks until the new one is the main process, and then the new one alone.
        let new = daemon.upgrade()?;
        ear.hears_of(&[&format!("MAINPID={}", new.0)])?;
        ear.hears_of(&["READY=1", "STATUS=serving"])?;
        ensure!(daemon.wait(SOON)? == 0);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(new.0)?), Signal::SIGTERM)?;
        ear.hears_of(&["STOPPING=1", "STATUS="])?;
        Ok(())
    });
}

#[test]
fn the_watchdog_hears_a_daemon_that_lives_and_none_that_stands_still() {
    in_a_world(|world| {
        let mut daemon = Daemon::prepare(world)?;
        daemon.write(&Config::new(world).text())?;
        let ear = Ear::of(world, &mut daemon)?;
        daemon.tell("WATCHDOG_USEC", "400000");
        daemon.run()?;
        let signs = |count: usize| -> Result<()> {
            let signs = || (ear.hears().ok()? == ["WATCHDOG=1"]).then_some(());
            (0..count).try_for_each(|_| wait::until("a sign of life", SOON, signs))
        };
        signs(1)?;
        let begun = Instant::now();
        signs(5)?;
        let each = begun.elapsed() / 5;
        ensure!(each >= Duration::from_millis(100), "one in {each:?}");
        daemon.signal(Signal::SIGSTOP)?;
        ear.0.set_read_timeout(Some(Duration::from_millis(600)))?;
        while ear.hears().is_ok() {}
        daemon.signal(Signal::SIGCONT)?;
        ear.0.set_read_timeout(Some(SOON))?;
        signs(2)?;
        // Who takes over goes on.
        let new = daemon.upgrade()?;
        ensure!(daemon.wait(SOON)? == 0);
        signs(5)?;
        ensure!(new.exists());
        Ok(())
    });
}

#[test]
fn a_watchdog_of_another_process_is_not_told() {
    in_a_world(|world| {
        let mut daemon = Daemon::prepare(world)?;
        daemon.write(&Config::new(world).text())?;
        let ear = Ear::of(world, &mut daemon)?;
        daemon.tell("WATCHDOG_USEC", "200000");
        daemon.tell("WATCHDOG_PID", "1");
        daemon.run()?;
        ensure!(ear.hears()?[0] == "READY=1");
        ear.0.set_read_timeout(Some(Duration::from_millis(500)))?;
        ensure!(ear.hears().is_err(), "it is told");
        Ok(())
    });
}
