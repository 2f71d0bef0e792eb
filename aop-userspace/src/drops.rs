//! `aop drops`

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use aop_config::Config;
use aop_firewall::Drops;
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval},
};

use super::{ConfigFile, duration, print};
use crate::drop_line::DropLine;

/// The ring buffer is looked at by the clock: waking for each event would slow the packets down.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Args)]
pub(super) struct DropsCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Show one of so many drops of each reason, rounded up to a power of two
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: u32,
    /// Stop after so long, as 10s or 5m; without it, at Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    r#for: Option<Duration>,
    /// Print a JSON document for each drop
    #[arg(long)]
    json: bool,
}

impl DropsCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let paths = Config::paths(&self.file.config)?;
        let mut drops = Drops::follow(&paths.pins, self.every)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        runtime.block_on(self.follow(&mut drops))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn follow(&self, drops: &mut Drops) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let end = self.r#for.map(|time| Instant::now() + time);
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
                eprintln!("{} more came too fast to show; the counters have them", lost_now - lost);
                lost = lost_now;
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(());
            }
        }
    }
}
