//! `aop top`: the state of the firewall and the terminator, live.
//!
//! Separate threads read keys, wait for signals and ask for the status, so that neither a daemon
//! that does not answer nor a closed terminal blocks the others. The main thread counts and draws.

mod draw;
mod model;
mod rates;
mod strangers;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use aop_api::{Status, StrangersReport};
use aop_config::Config;
use aop_firewall::{DropReader, FirewallError};
use nix::sys::signal::Signal;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};

use self::model::{AfterKey, DropSampling, Model};
use crate::{
    daemon,
    output::{Colours, error_chain},
    signals,
};

/// How often the strangers on record are read, at most. The daemon reads a map for the answer.
const STRANGERS_PERIOD: Duration = Duration::from_secs(5);
/// How often drops are read, and how often the screen is drawn if nothing happens.
const TICK: Duration = Duration::from_millis(200);
/// The most drops that are read in one tick. In a flood the rest is lost, and counted as lost.
const MAX_DROPS: usize = 20_000;

/// A message from one of the threads.
enum ThreadMessage {
    Terminal(Event),
    Status(Box<Result<Status, String>>),
    Strangers(StrangersReport),
    /// A signal came, or the terminal was closed.
    Stop,
}

/// Shows the live screen until a key or a signal ends it. `file` is the configuration; one in
/// `every` drops is sampled.
pub(crate) fn run(file: PathBuf, interval: Duration, every: u32) -> anyhow::Result<()> {
    require_terminal()?;
    let paths = Config::paths(&file)?;
    let (drops, sampling) = follow_drops(&paths.pins, every);
    let mut model = Model::new(interval, sampling);
    let (sender, messages) = mpsc::channel();
    let (intervals, new_intervals) = mpsc::channel();
    let blocked = signals::block(&[Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT])?;
    let started = Instant::now();
    let stop = sender.clone();
    signals::on_arrival(blocked, move || {
        // Fails only if `aop top` is ending already.
        stop.send(ThreadMessage::Stop).ok();
    });
    read_status(file, interval, sender.clone(), new_intervals);
    let mut terminal = RawTerminal::enter().context("cannot use the terminal")?;
    read_keys(sender);
    Session { started, drops, intervals }.show(&mut terminal.0, &mut model, &messages)
}

/// Refuses to draw where there is no usable terminal.
fn require_terminal() -> anyhow::Result<()> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        bail!(
            "aop top needs a terminal for its screen and its keys; see `aop status`, or `aop \
               status --json` for programs"
        );
    }
    match std::env::var("TERM").as_deref() {
        Ok("" | "dumb") | Err(_) => {
            bail!("aop top needs a terminal that can move its cursor (TERM); see `aop status`")
        }
        Ok(_) => Ok(()),
    }
}

/// The terminal in raw mode, on the alternate screen. It is restored on every way out, and before a
/// panic message is printed.
struct RawTerminal(DefaultTerminal);

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        // Undo the steps that succeeded before the failure.
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Both fail if the terminal is closed; then there is nothing to restore.
        self.0.show_cursor().ok();
        ratatui::try_restore().ok();
    }
}

/// The sources of the model while it is shown.
struct Session {
    started: Instant,
    drops: Option<DropReader>,
    intervals: Sender<Duration>,
}

impl Session {
    fn show(
        &mut self,
        terminal: &mut DefaultTerminal,
        model: &mut Model,
        messages: &Receiver<ThreadMessage>,
    ) -> anyhow::Result<()> {
        let colours = Colours::of_stdout();
        loop {
            self.count_drops(model);
            let at = self.started.elapsed();
            terminal.draw(|frame| draw::all(frame, model, at, colours)).context("cannot draw")?;
            let interval = model.interval;
            let mut next = match messages.recv_timeout(TICK) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            while let Some(message) = next {
                match message {
                    ThreadMessage::Stop => return Ok(()),
                    ThreadMessage::Terminal(Event::Key(key))
                        if model.on_key(key) == AfterKey::Quit =>
                    {
                        return Ok(());
                    }
                    // A resize: the next pass draws the new size.
                    ThreadMessage::Terminal(_) => {}
                    ThreadMessage::Status(reading) => {
                        model.apply_reading(self.started.elapsed(), *reading);
                    }
                    ThreadMessage::Strangers(report) => model.apply_strangers(report.sources),
                }
                next = messages.try_recv().ok();
            }
            if model.interval != interval {
                // The asking thread lives as long as this receiver.
                self.intervals.send(model.interval).ok();
            }
        }
    }

    fn count_drops(&mut self, model: &mut Model) {
        let Some(drops) = &mut self.drops else { return };
        let at = self.started.elapsed();
        let mut taken = 0;
        while taken < MAX_DROPS
            && let Some(drop) = drops.next_drop()
        {
            model.count_drop(&drop, at);
            taken += 1;
        }
        let checked = drops.is_sampling().and_then(|goes_on| Ok((goes_on, drops.lost()?)));
        model.sampling = match (checked, &model.sampling) {
            (Ok((true, lost)), DropSampling::On { every, .. }) => {
                DropSampling::On { every: *every, lost }
            }
            (Ok((false, _)), DropSampling::On { .. }) => {
                DropSampling::Off("`aop drops` has ended the sampling: restart aop top".into())
            }
            (Err(error), DropSampling::On { .. }) => DropSampling::Off(error.to_string()),
            (_, DropSampling::Off(why)) => DropSampling::Off(why.clone()),
        };
    }
}

fn follow_drops(pins: &Path, every: u32) -> (Option<DropReader>, DropSampling) {
    let why = match DropReader::follow_alone(pins, every) {
        Ok(Some(drops)) => return (Some(drops), DropSampling::On { every, lost: 0 }),
        Ok(None) => "another program follows the drops, or was killed while doing so (`aop drops \
                     --for 1s` clears that): no strangers are shown"
            .to_owned(),
        Err(FirewallError::Unloaded) => "no firewall is loaded: nothing is dropped".to_owned(),
        Err(error) => format!("the drops cannot be followed: {error}"),
    };
    (None, DropSampling::Off(why))
}

fn read_keys(sender: Sender<ThreadMessage>) {
    thread::spawn(move || {
        loop {
            let message = event::read().map_or(ThreadMessage::Stop, ThreadMessage::Terminal);
            let over = matches!(message, ThreadMessage::Stop);
            if sender.send(message).is_err() || over {
                return;
            }
        }
    });
}

/// Reads the status at each interval, and the strangers on record less often, until the receiver is
/// gone.
fn read_status(
    file: PathBuf,
    mut interval: Duration,
    sender: Sender<ThreadMessage>,
    new_intervals: Receiver<Duration>,
) {
    thread::spawn(move || {
        let mut strangers_read: Option<Instant> = None;
        loop {
            let reading = daemon::status(&file).map_err(|error| error_chain(&error));
            if sender.send(ThreadMessage::Status(Box::new(reading))).is_err() {
                return;
            }
            if strangers_read.is_none_or(|read| read.elapsed() >= STRANGERS_PERIOD) {
                strangers_read = Some(Instant::now());
                // An error of the status is shown, and has the same cause.
                let report = daemon::strangers(&file).unwrap_or_default();
                if sender.send(ThreadMessage::Strangers(report)).is_err() {
                    return;
                }
            }
            match new_intervals.recv_timeout(interval) {
                Ok(changed) => interval = changed,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}
