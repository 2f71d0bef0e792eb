//! The turns of a roll: facts, decision, change; until it is done, stopped, or the time is over.

use std::{
    fs::File,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use aop_api::{Request, RollState, SeenIdentities};
use aop_cloudflare::{
    ApiError, Client, ConfigText, RollFacts, RollNext, RollRecord, RollStep, find_token,
    next_of_roll, unused_client_cas,
};
use aop_config::{Config, Paths, SiteConfig};
use aop_control::send_request;
use aop_sandbox::{Account, Launcher};
use jiff::{SignedDuration, Timestamp};

use super::{
    CommonArguments,
    begin::{self, Wanted},
    leaf::Issuing,
    of_fleet,
    page::{Screen, ScreenForm},
};
use crate::output::error_chain;

/// The first pause, after a failure and while something is waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The shortest pause, before a moment that is near.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest pause while something is waited for.
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After so many failures in a row the command ends; they take two minutes.
const MOST_FAILURES: u32 = 9;

/// The file that is locked while a command changes something.
pub(super) const LOCK: &str = ".lock";

/// Runs a roll.
pub(super) struct Roller {
    pub(super) arguments: CommonArguments,
    pub(super) issuing: Issuing,
    pub(super) paths: Paths,
    pub(super) client: Client,
    pub(super) screen: Screen,
    /// Whether nobody looks on: a pass of `aop cloudflare renew`.
    pub(super) unattended: bool,
    begun: Instant,
    _lock: Option<File>,
}

/// The configuration, as it is at the moment.
pub(super) struct Current {
    pub(super) text: String,
    pub(super) config: Config,
}

/// The end of the turns.
pub(super) struct Ended {
    pub(super) state: RollState,
    pub(super) waits_for: Option<String>,
    pub(super) stopped: Option<(String, String)>,
}

impl Current {
    pub(super) fn read(file: &std::path::Path) -> anyhow::Result<Self> {
        let text = Config::text(file)?;
        let config = Config::parse(file, &text)?;
        Ok(Self { text, config })
    }

    pub(super) fn site(&self, name: &str) -> anyhow::Result<&SiteConfig> {
        self.config.live.site(name).with_context(|| {
            format!(
                "no site has the host {name:?}; the sites are {}",
                self.config.live.site_names().join(", ")
            )
        })
    }

    pub(super) fn with(&self) -> ConfigText<'_> {
        ConfigText { config: &self.config, text: &self.text }
    }
}

impl Roller {
    pub(super) fn open(
        arguments: CommonArguments,
        issuing: Issuing,
        form: ScreenForm,
    ) -> anyhow::Result<Self> {
        let current = Current::read(&arguments.file.config)?;
        current.site(&arguments.site)?;
        let paths = current.config.fixed.paths.clone();
        let lock = match arguments.dry_run {
            true => None,
            false => Some(lock(&paths)?),
        };
        let client = client(&current.config)?;
        let (screen, begun) = (Screen::new(form), Instant::now());
        let unattended = false;
        Ok(Self { arguments, issuing, paths, client, screen, unattended, begun, _lock: lock })
    }

    pub(super) fn run(mut self, wanted: Wanted) -> anyhow::Result<ExitCode> {
        let mut record = self.begin(wanted)?;
        if self.arguments.dry_run {
            return self.dry_run(record);
        }
        self.screen.head(&record)?;
        let ended = self.turns(&mut record)?;
        let done = matches!(ended.state, RollState::Done | RollState::Undone);
        self.screen.end(&self.arguments, &record, &ended)?;
        Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    pub(super) fn turns(&mut self, record: &mut RollRecord) -> anyhow::Result<Ended> {
        let (mut failures, mut pause) = (0, FIRST_PAUSE);
        loop {
            let turn = self.turn(record);
            let now = Timestamp::now();
            match turn {
                Ok(Some(RollNext::Wait { what, until })) => {
                    (failures, record.last_error, record.failing_since) = (0, None, None);
                    self.screen.waits(&what)?;
                    let Some(left) = self.left() else {
                        record.store(&self.paths.state)?;
                        let waits_for = Some(what);
                        return Ok(Ended { state: RollState::Waiting, waits_for, stopped: None });
                    };
                    let until = until.map(|it| Duration::try_from(it.duration_since(now)));
                    let until = until.and_then(Result::ok).map_or(pause, |it| it.max(SHORTEST));
                    thread::sleep(pause.min(until).min(left));
                    pause = (pause * 3 / 2).min(LONGEST_LOOK);
                }
                Ok(None) => {
                    (failures, pause) = (0, FIRST_PAUSE);
                    (record.last_error, record.failing_since) = (None, None);
                }
                Ok(Some(RollNext::Stopped { why, cure })) => {
                    record.fail(now, format!("{why}; {cure}"));
                    record.store(&self.paths.state)?;
                    let stopped = Some((why, cure));
                    return Ok(Ended { state: RollState::Stopped, waits_for: None, stopped });
                }
                Ok(Some(RollNext::Undone)) => {
                    if record.announced.is_some_and(|it| !it.answered) {
                        record.note(lost_upload(self.arguments.list_lag));
                    }
                    record.remove(&self.paths.state)?;
                    return Ok(Ended { state: RollState::Undone, waits_for: None, stopped: None });
                }
                Ok(Some(_)) => {
                    record.store(&self.paths.state)?;
                    return Ok(Ended { state: RollState::Done, waits_for: None, stopped: None });
                }
                Err(error) => {
                    let asked = passes(&error);
                    let text = match asked {
                        Some(_) => error_chain(&error),
                        None => format!(
                            "{}. {}",
                            error_chain(&error),
                            begin::cure(record, &error, &self.arguments.file)
                        ),
                    };
                    record.fail(now, text.clone());
                    record.store(&self.paths.state)?;
                    failures += 1;
                    let wait = asked.map(|asked| pause_after(failures).max(asked));
                    match (wait, self.left()) {
                        (Some(wait), Some(left)) if failures < MOST_FAILURES && wait < left => {
                            self.screen.fails(&text, wait)?;
                            thread::sleep(wait);
                            // Another process: a new name lookup, and the old one may be gone.
                            let current = Current::read(&self.arguments.file.config)?;
                            self.client = client(&current.config)?;
                        }
                        (Some(_), _) => {
                            let again = "run the same command again: nothing is lost, and nothing \
                                         is done twice";
                            return Err(
                                error.context(format!("the roll is not at its end; {again}"))
                            );
                        }
                        (None, _) => return Err(anyhow!(text)),
                    }
                }
            }
        }
    }

    /// One turn. `None`: something was done, so the next one follows at once.
    fn turn(&mut self, record: &mut RollRecord) -> anyhow::Result<Option<RollNext>> {
        let current = Current::read(&self.arguments.file.config)?;
        record.correct_times(Timestamp::now());
        let facts = self.facts(record, &current)?;
        let lag = SignedDuration::try_from(self.arguments.list_lag).unwrap_or(SignedDuration::MAX);
        loop {
            match next_of_roll(record, &facts, lag, Timestamp::now()) {
                RollNext::Act(action) => return self.act(record, &current, &facts, action),
                RollNext::Reached(step) => self.reach(record, step, &current, &facts)?,
                RollNext::Found(id) => {
                    record.uploaded = Some(id);
                    record.announced.iter_mut().for_each(|it| it.answered = true);
                    record.store(&self.paths.state)?;
                }
                other @ (RollNext::Wait { .. }
                | RollNext::Stopped { .. }
                | RollNext::Done
                | RollNext::Undone) => return Ok(Some(other)),
            }
        }
    }

    pub(super) fn reach(
        &mut self,
        record: &mut RollRecord,
        step: RollStep,
        current: &Current,
        facts: &RollFacts,
    ) -> anyhow::Result<()> {
        match step {
            // The edges have the key: this host has no use for it.
            RollStep::Active => {
                let directory = RollRecord::directory(&self.paths.state);
                for extension in ["key", "csr"] {
                    aop_storage::remove(&directory, &format!("{}.{extension}", record.site))?;
                }
            }
            RollStep::Done => self.note_unused(record, current, facts),
            RollStep::Made
            | RollStep::Trusted
            | RollStep::Uploaded
            | RollStep::SwitchedOn
            | RollStep::Seen
            | RollStep::Settled => {}
        }
        record.reach(step, Timestamp::now());
        record.store(&self.paths.state)?;
        self.screen.reached(record, step)
    }

    fn note_unused(&self, record: &mut RollRecord, current: &Current, facts: &RollFacts) {
        let Ok(site) = current.site(&record.site) else { return };
        for ca in unused_client_cas(site, record, facts) {
            record.note(format!(
                "{}: no certificate at Cloudflare needs {ca:?} in client_ca any more. If nobody \
                 else pulls with it, take it out and run `aop reload`",
                self.arguments.file.config.display()
            ));
        }
    }

    pub(super) fn facts(
        &mut self,
        record: &RollRecord,
        current: &Current,
    ) -> anyhow::Result<RollFacts> {
        let seen: SeenIdentities = send_request(&self.paths.runtime, Request::Identities)
            .context("a roll needs the daemon, which sees what the edge presents")?;
        let state = &self.paths.state;
        let mut facts = self.client.roll_facts(state, record, current.with(), &seen)?;
        if record.wait_for > 1
            && record.reached_at(RollStep::SwitchedOn).is_some()
            && let Some(fleet) = &current.config.live.fleet
        {
            let of_fleet = of_fleet::reports(fleet, &record.site)
                .context("the other hosts that --wait-for waits for cannot be asked")?;
            facts.reports.retain(|it| of_fleet.iter().all(|host| host.host != it.host));
            facts.reports.extend(of_fleet);
        }
        Ok(facts)
    }

    /// The time that is left; `None` if it is over.
    fn left(&self) -> Option<Duration> {
        let left = self.arguments.wait.checked_sub(self.begun.elapsed());
        left.filter(|left| !left.is_zero())
    }
}

/// A client of the API, with the token of `config`.
pub(in crate::commands::cloudflare) fn client(config: &Config) -> anyhow::Result<Client> {
    let token = find_token(&config.cloudflare)?;
    let account = Account::find(config.fixed.user.as_deref())?;
    let launcher = Launcher::new(account, Vec::new());
    Ok(Client::start(&launcher, &config.cloudflare.api, token)?)
}

pub(super) fn lock(paths: &Paths) -> anyhow::Result<File> {
    let directory = RollRecord::directory(&paths.state);
    aop_storage::create_private_directory(&directory)
        .with_context(|| format!("{} cannot be used", directory.display()))?;
    let taken = aop_storage::try_lock(&directory, LOCK)
        .with_context(|| format!("{} cannot be locked", directory.display()))?;
    taken.context(
        "another `aop cloudflare roll`, `back` or `report` is under way on this host: wait until \
         it ends",
    )
}

/// Whether this failure may pass by itself, and how long Cloudflare asks to wait.
fn passes(error: &anyhow::Error) -> Option<Duration> {
    match error.downcast_ref::<ApiError>()? {
        ApiError::RateLimited { retry_after, .. } => Some(Duration::from_secs(*retry_after)),
        ApiError::Unavailable { .. }
        | ApiError::Unclear { .. }
        | ApiError::NotUnderstood { .. }
        | ApiError::Process(_) => Some(Duration::ZERO),
        ApiError::Refused { .. } | ApiError::NoZone { .. } => None,
    }
}

/// The note of an undo that cannot tell whether an upload was made.
fn lost_upload(list_lag: Duration) -> String {
    format!(
        "the answer to an upload was lost, and Cloudflare's list did not show that upload for {} \
         s. If `aop cloudflare status` finds the certificate later, delete it in the dashboard",
        list_lag.as_secs()
    )
}

fn pause_after(failures: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE)
}
