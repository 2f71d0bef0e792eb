//! `aop drops`: prints sampled drops from the pinned ring buffer. Needs no daemon.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use aop_config::Config;
use aop_firewall::DropReader;
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval},
};

use super::{ConfigFile, duration, print};
use crate::drop_line::DropLine;

/// How often the ring buffer is read. A wake-up for each event would slow down the packet path.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(super) struct DropsCommand {
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        runtime.block_on(self.follow(&mut drops))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn follow(&self, drops: &mut DropReader) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let deadline = self.r#for.map(|time| Instant::now() + time);
        let mut clock = interval(PERIOD);
        let mut lost = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = clock.tick() => {}
            }
            while let Some(drop) = drops.take() {
                let line = DropLine::from(drop);
                if self.json {
                    print(&format!("{}\n", serde_json::to_string(&line)?))?;
                } else {
                    print(&format!("{line}\n"))?;
                }
            }
            let lost_now = drops.lost()?;
            if lost_now > lost {
                let more = lost_now - lost;
                eprintln!("{more} more drops came too fast to show; the counters include them");
                lost = lost_now;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(());
            }
        }
    }
}
