//! `aop top`: its arguments. The screen is in `crate::top`.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use crate::{
    arguments::{ConfigFile, duration},
    top,
};

#[derive(Args)]
#[command(
    after_help = "Keys: q quits, Tab and 1 to 4 change the pane, p pauses, j and k scroll, s \
                        sorts, + and - change the interval, ? helps. There is no --json: `aop \
                        status --json` is for programs."
)]
pub(crate) struct TopCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// Time between two readings, such as 1s or 10s
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    interval: Duration,
    /// Sample one in N drops of each reason; N is rounded up to a power of two
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    every: u32,
}

fn interval(text: &str) -> Result<Duration, String> {
    let (least, most) = (Duration::from_millis(200), Duration::from_secs(3600));
    match duration(text)? {
        interval if (least..=most).contains(&interval) => Ok(interval),
        _ => Err("an interval is from 200ms to 1h".to_owned()),
    }
}

impl TopCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        top::run(self.file.config, self.interval, self.every.next_power_of_two())?;
        Ok(ExitCode::SUCCESS)
    }
}
