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
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use aop_api::Status;
use aop_config::Config;
use aop_firewall::{DropReader, FirewallError};
use clap::Args;
use nix::sys::signal::{SigSet, Signal};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};

use self::model::{Following, Model, Then};
use super::{ConfigFile, duration, screen::Paint, status};
use crate::drop_line::DropLine;

/// How often drops are read, and how often the screen is drawn if nothing happens.
const TICK: Duration = Duration::from_millis(200);
/// The most drops that are read in one tick. In a flood the rest is lost, and counted as lost.
const AT_ONCE: usize = 20_000;

#[derive(Args)]
#[command(
    after_help = "Keys: q quits, Tab and 1 to 4 change the pane, p pauses, j and k scroll, s \
                        sorts, + and - change the interval, ? helps. There is no --json: `aop \
                        status --json` is for programs."
)]
pub(super) struct Top {
    #[command(flatten)]
    file: ConfigFile,
    /// Time between two readings, such as 1s or 10s
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    interval: Duration,
    /// Sample one in N drops of each reason; N is rounded up to a power of two
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    every: u32,
}

fn interval(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_millis(200), Duration::from_secs(3600));
    match duration(text)? {
        interval if (least..=most).contains(&interval) => Ok(interval),
        _ => Err("an interval is from 200ms to 1h".to_owned()),
    }
}

/// A message from one of the threads.
enum Happening {
    Event(Event),
    Reading(Box<Result<Status, String>>),
    /// A signal came, or the terminal was closed.
    End,
}

impl Top {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        fit_for_people()?;
        let paths = Config::paths(&self.file.config)?;
        let (drops, following) = follow(&paths.pins, self.every.next_power_of_two());
        let mut model = Model::new(self.interval, following);
        let (tell, happenings) = mpsc::channel();
        let (pace, paces) = mpsc::channel();
        // Before any other thread exists: an unblocked thread would receive the signals.
        let signals = block_signals()?;
        let begun = Instant::now();
        watch_signals(signals, tell.clone());
        ask(self.file.config, self.interval, tell.clone(), paces);
        let mut terminal = Screen::enter().context("cannot use the terminal")?;
        read_keys(tell);
        let mut view = View { begun, drops, pace };
        view.show(&mut terminal.0, &mut model, &happenings)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses to draw where there is no usable terminal.
fn fit_for_people() -> anyhow::Result<()> {
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
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> io::Result<Self> {
        // Undo the steps that succeeded before the failure.
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Both fail if the terminal is closed; then there is nothing to restore.
        self.0.show_cursor().ok();
        ratatui::try_restore().ok();
    }
}

/// The sources of the model while it is shown.
struct View {
    begun: Instant,
    drops: Option<DropReader>,
    pace: Sender<Duration>,
}

impl View {
    fn show(
        &mut self,
        terminal: &mut DefaultTerminal,
        model: &mut Model,
        happenings: &Receiver<Happening>,
    ) -> anyhow::Result<()> {
        let paint = Paint::of_stdout();
        loop {
            self.count_drops(model);
            let at = self.begun.elapsed();
            terminal.draw(|frame| draw::all(frame, model, at, paint)).context("cannot draw")?;
            let interval = model.interval;
            let mut happening = match happenings.recv_timeout(TICK) {
                Ok(happening) => Some(happening),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            while let Some(happened) = happening {
                match happened {
                    Happening::End => return Ok(()),
                    Happening::Event(Event::Key(key)) if model.press(key) == Then::Quit => {
                        return Ok(());
                    }
                    // A resize: the next pass draws the new size.
                    Happening::Event(_) => {}
                    Happening::Reading(reading) => model.hear(self.begun.elapsed(), *reading),
                }
                happening = happenings.try_recv().ok();
            }
            if model.interval != interval {
                // The asking thread lives as long as this receiver.
                self.pace.send(model.interval).ok();
            }
        }
    }

    fn count_drops(&mut self, model: &mut Model) {
        let Some(drops) = &mut self.drops else { return };
        let at = self.begun.elapsed();
        let mut taken = 0;
        while taken < AT_ONCE
            && let Some(drop) = drops.take()
        {
            model.dropped(&DropLine::from(drop), at);
            taken += 1;
        }
        let checked = drops.goes_on().and_then(|goes_on| Ok((goes_on, drops.lost()?)));
        model.following = match (checked, &model.following) {
            (Ok((true, lost)), Following::Drops { every, .. }) => {
                Following::Drops { every: *every, lost }
            }
            (Ok((false, _)), Following::Drops { .. }) => {
                Following::Nothing("`aop drops` has ended the sampling: restart aop top".into())
            }
            (Err(error), Following::Drops { .. }) => Following::Nothing(error.to_string()),
            (_, Following::Nothing(why)) => Following::Nothing(why.clone()),
        };
    }
}

fn follow(pins: &Path, every: u32) -> (Option<DropReader>, Following) {
    let why = match DropReader::follow_alone(pins, every) {
        Ok(Some(drops)) => return (Some(drops), Following::Drops { every, lost: 0 }),
        Ok(None) => "another program follows the drops, or was killed while doing so (`aop drops \
                     --for 1s` clears that): no strangers are shown"
            .to_owned(),
        Err(FirewallError::Unloaded) => "no firewall is loaded: nothing is dropped".to_owned(),
        Err(error) => format!("the drops cannot be followed: {error}"),
    };
    (None, Following::Nothing(why))
}

fn block_signals() -> anyhow::Result<SigSet> {
    let signals = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];
    let signals: SigSet = signals.into_iter().collect();
    signals.thread_block().context("cannot block signals")?;
    Ok(signals)
}

fn watch_signals(signals: SigSet, tell: Sender<Happening>) {
    thread::spawn(move || {
        if signals.wait().is_ok() {
            // Fails only if `aop top` is ending already.
            tell.send(Happening::End).ok();
        }
    });
}

fn read_keys(tell: Sender<Happening>) {
    thread::spawn(move || {
        loop {
            let happening = event::read().map_or(Happening::End, Happening::Event);
            let over = matches!(happening, Happening::End);
            if tell.send(happening).is_err() || over {
                return;
            }
        }
    });
}

/// Asks for the status at each interval, until the receiver is gone.
fn ask(file: PathBuf, every: Duration, tell: Sender<Happening>, paces: Receiver<Duration>) {
    thread::spawn(move || {
        let mut every = every;
        loop {
            let reading = status::now(&file).map_err(|error| super::told_once(&error));
            if tell.send(Happening::Reading(Box::new(reading))).is_err() {
                return;
            }
            match paces.recv_timeout(every) {
                Ok(pace) => every = pace,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
}
