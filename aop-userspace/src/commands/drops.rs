//! `aop drops`: prints sampled drops from the pinned ring buffer. Needs no daemon.

use std::{
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use aop_config::Config;
use aop_firewall::DropReader;
use clap::Args;
use nix::sys::signal::Signal;

use crate::{
    arguments::{ConfigFile, duration},
    output::{drop_line, print},
    signals,
};

/// How often the ring buffer is read. A wake-up for each event would slow down the packet path.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(crate) struct DropsCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Show one in N drops of each reason; N is rounded up to a power of two
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: u32,
    /// Stop after this time, such as 10s or 5m; without it, stop at Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    r#for: Option<Duration>,
    /// Print one JSON document for each drop
    #[arg(long)]
    json: bool,
}

impl DropsCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let mut drops = DropReader::follow(&paths.pins, self.every)?;
        let blocked = signals::block(&[Signal::SIGTERM, Signal::SIGINT])?;
        let (stop, stopped) = mpsc::channel();
        signals::on_arrival(blocked, move || {
            // Fails only if this verb is ending already.
            stop.send(()).ok();
        });
        let deadline = self.r#for.map(|time| Instant::now() + time);
        let mut lost = 0;
        loop {
            self.print_new(&mut drops, &mut lost)?;
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if over || stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    /// Prints the drops that are not printed yet. `lost` is the number of lost ones that standard
    /// error has already reported.
    fn print_new(&self, drops: &mut DropReader, lost: &mut u64) -> anyhow::Result<()> {
        while let Some(drop) = drops.next_drop() {
            let line = if self.json { serde_json::to_string(&drop)? } else { drop_line(&drop) };
            print(&format!("{line}\n"))?;
        }
        let lost_now = drops.lost()?;
        if lost_now > *lost {
            let more = lost_now - *lost;
            eprintln!("{more} more drops came too fast to show; the counters include them");
            *lost = lost_now;
        }
        Ok(())
    }
}
