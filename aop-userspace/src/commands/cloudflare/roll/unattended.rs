//! A roll as `aop cloudflare renew` makes it: it prints nothing, and one that was begun by hand
//! keeps what it was begun with.

use std::{path::Path, time::Duration};

use anyhow::Context;
use aop_api::RollState;
use aop_cloudflare::{CertificateLevel, RollRecord};
use aop_config::Config;
use jiff::Timestamp;

use super::{
    CommonArguments,
    begin::Wanted,
    leaf::Issuing,
    turns::{Ended, LOCK, Roller},
};
use crate::{
    arguments::{ConfigFile, Output},
    output::error_chain,
};

/// As the options of `aop cloudflare roll` have it.
const SETTLE: Duration = Duration::from_secs(600);
const LIST_LAG: Duration = Duration::from_secs(60);

/// The end of a run of a roll.
pub(in crate::commands::cloudflare) struct UnattendedRoll {
    pub(in crate::commands::cloudflare) record: RollRecord,
    pub(in crate::commands::cloudflare) state: RollState,
    pub(in crate::commands::cloudflare) waits_for: Option<String>,
    /// Why it cannot go on by itself, and what to do.
    pub(in crate::commands::cloudflare) stopped: Option<(String, String)>,
}

/// Whether another process is at work on a roll.
pub(in crate::commands::cloudflare) fn is_busy(state: &Path) -> anyhow::Result<bool> {
    let directory = RollRecord::directory(state);
    Ok(directory.exists() && aop_storage::try_lock(&directory, LOCK)?.is_none())
}

/// Goes on with the roll of `site`, for `wait` at most. Without one, it begins a roll at the level
/// `begin`. A failure is in the record, as soon as there is one.
pub(in crate::commands::cloudflare) fn run_unattended(
    file: &Path,
    site: &str,
    begin: Option<CertificateLevel>,
    wait: Duration,
) -> anyhow::Result<UnattendedRoll> {
    let state = Config::paths(file)?.state;
    let arguments = CommonArguments {
        file: ConfigFile { config: file.to_owned() },
        site: site.to_owned(),
        wait_for: 1,
        wait,
        settle: SETTLE,
        list_lag: LIST_LAG,
        dry_run: false,
        output: Output { json: true },
    };
    let mut roller = match Roller::open(arguments, Issuing::configured()) {
        Ok(roller) => roller,
        Err(error) => {
            if let Some(mut record) = running(&state, site)? {
                record.fail(Timestamp::now(), error_chain(&error));
                record.store(&state)?;
            }
            return Err(error);
        }
    };
    let mut record = match (running(&state, site)?, begin) {
        (Some(record), _) => record,
        (None, level) => roller.begin(match level.context("this roll is over already")? {
            CertificateLevel::Zone => Wanted::Zone,
            CertificateLevel::Host => Wanted::Host,
        })?,
    };
    let Ended { state, waits_for, stopped } = roller.turns(&mut record)?;
    Ok(UnattendedRoll { record, state, waits_for, stopped })
}

fn running(state: &Path, site: &str) -> anyhow::Result<Option<RollRecord>> {
    Ok(RollRecord::load(state, site)?.filter(|it| !it.is_done()))
}
