//! A roll as `aop cloudflare renew` makes it: it prints a line for each event, and one that was
//! begun by hand keeps what it was begun with.

use std::{path::Path, time::Duration};

use anyhow::Context;
use aop_api::RollState;
use aop_cloudflare::{CertificateLevel, RollRecord};
use jiff::Timestamp;

use super::{
    CommonArguments,
    begin::Wanted,
    leaf::Issuing,
    of_fleet,
    page::ScreenForm,
    turns::{Current, Ended, LOCK, Roller},
};
use crate::{
    arguments::{ConfigFile, Output},
    output::error_chain,
};

/// As the option of `aop cloudflare roll` has it.
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
    json: bool,
) -> anyhow::Result<UnattendedRoll> {
    let arguments = CommonArguments {
        file: ConfigFile { config: file.to_owned() },
        site: site.to_owned(),
        wait_for: None,
        wait,
        settle: None,
        list_lag: LIST_LAG,
        dry_run: false,
        output: Output { json },
    };
    let form = if json { ScreenForm::Nothing } else { ScreenForm::Log(site.to_owned()) };
    let mut roller = match Roller::open(arguments, Issuing::configured(), form) {
        Ok(roller) => roller,
        Err(error) => {
            let current = Current::read(file)?;
            let state = &current.config.fixed.paths.state;
            if let Some(mut record) =
                RollRecord::running(state, &current.config, current.site(site)?)?
            {
                record.fail(Timestamp::now(), error_chain(&error));
                record.store(state)?;
            }
            return Err(error);
        }
    };
    roller.unattended = true;
    let current = Current::read(file)?;
    let mut record = match (roller.taken_over(&current, site)?, begin) {
        (Some(record), _) => record,
        (None, level) => {
            let level = level.context("this roll is over already")?;
            if let Some(fleet) = &current.config.live.fleet {
                let hosts = of_fleet::hosts_with_pulls(fleet, site)
                    .context("the other hosts that a renewal waits for cannot be asked")?;
                roller.arguments.wait_for = Some(hosts);
            }
            roller.begin(match level {
                CertificateLevel::Zone => Wanted::Zone,
                CertificateLevel::Host => Wanted::Host,
            })?
        }
    };
    let Ended { state, waits_for, stopped } = roller.turns(&mut record)?;
    if matches!(state, RollState::Done | RollState::Undone) {
        record.notes.iter().try_for_each(|note| roller.screen.note(note))?;
    }
    Ok(UnattendedRoll { record, state, waits_for, stopped })
}
