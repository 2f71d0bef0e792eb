//! `aop cloudflare renew`: one pass of renewals, as the timer of the package makes it. It goes on
//! with rolls in progress, and begins one for each own certificate that ends soon.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use aop_api::{
    IdentitiesFrom, PresentedLevel, RenewalOutcome as Outcome, RenewalReport, RenewedSite,
    RollState, SeenIdentities, days_until,
};
use aop_cloudflare::{
    CertificateLevel, Client, InUse, RenewalRecord, RenewalTask, RollRecord, SiteCollector,
    SiteRenewal, in_use,
};
use aop_config::{Config, SiteConfig};
use clap::Args;
use jiff::Timestamp;

use super::{
    roll::{self, UnattendedRoll},
    status::identities,
};
use crate::{
    arguments::{ConfigFile, Output, duration},
    commands::check::ca_of,
    output::{count, date, error_chain, lines},
};

#[derive(Args)]
pub(super) struct RenewCommand {
    #[command(flatten)]
    file: ConfigFile,
    /// The longest time that this takes. The next run goes on with a roll that is not at its end
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    output: Output,
}

impl RenewCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let file = &self.file.config;
        let text = Config::text(file)?;
        let config = Config::parse(file, &text)?;
        let state = &config.fixed.paths.state;
        if roll::is_busy(state)? {
            let why = "another `aop cloudflare` command changes something at the moment";
            return self.print(&nothing(why));
        }
        let deadline = Instant::now() + self.timeout;
        let json = self.output.json;
        let pass = Pass { file, text: &text, config: &config, deadline, json };
        let tasks = pass.tasks();
        if tasks.is_empty() {
            RenewalRecord::remove(state).map_err(anyhow::Error::msg)?;
            return self.print(&nothing(match config.cloudflare.renew {
                None => "cloudflare.renew is not set, and no roll is in progress",
                Some(_) => "there is no site",
            }));
        }
        let passed = pass.run(tasks);
        // The record first: a reader that closes the pipe must not lose a failure.
        let sites = passed.iter().map(|it| it.kept.clone()).collect();
        let stored = RenewalRecord { at: Timestamp::now(), sites }.store(state);
        let report = report(passed);
        let code = self.print(&report)?;
        stored.map_err(anyhow::Error::msg)?;
        Ok(code)
    }

    fn print(&self, report: &RenewalReport) -> anyhow::Result<ExitCode> {
        self.output.print(report, render)?;
        Ok(if report.healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn nothing(why: &str) -> RenewalReport {
    RenewalReport { healthy: true, nothing: Some(why.to_owned()), sites: Vec::new() }
}

fn report(passed: Vec<Passed>) -> RenewalReport {
    let sites: Vec<RenewedSite> = passed.into_iter().map(|it| it.told).collect();
    let healthy = sites.iter().all(|it| it.outcome != Outcome::Failed);
    let none = "no roll is in progress, and no site has a certificate of its own at Cloudflare";
    let nothing = sites.is_empty().then(|| none.to_owned());
    RenewalReport { healthy, nothing, sites }
}

fn render(report: &RenewalReport) -> String {
    let nothing = report.nothing.iter().map(|why| format!("nothing to do: {why}"));
    let sites = report.sites.iter().map(|it| match it.outcome {
        Outcome::Failed => format!("{}: FAILED: {}", it.site, it.said),
        Outcome::Later | Outcome::Waiting | Outcome::Done | Outcome::Unknown(_) => {
            format!("{}: {}", it.site, it.said)
        }
    });
    lines(nothing.chain(sites))
}

/// The pass for one site: for people, and for the status.
struct Passed {
    told: RenewedSite,
    kept: SiteRenewal,
}

/// One pass.
struct Pass<'a> {
    file: &'a Path,
    text: &'a str,
    config: &'a Config,
    deadline: Instant,
    /// Whether a document follows: then the rolls print nothing.
    json: bool,
}

/// The work for a site. An error: the record of its roll cannot be used.
struct Task<'a> {
    site: &'a SiteConfig,
    task: Result<RenewalTask, String>,
}

impl<'a> Pass<'a> {
    /// The work for each site, rolls in progress first.
    fn tasks(&self) -> Vec<Task<'a>> {
        let (config, now) = (self.config, Timestamp::now());
        let (state, renew) = (&config.fixed.paths.state, config.cloudflare.renew);
        let before = self.before();
        let task = |site: &'a SiteConfig| {
            let last = before.as_ref().and_then(|it| it.site(&site.name));
            let task = match RollRecord::running(state, config, site) {
                Ok(roll) => Ok(RenewalTask::of(roll.as_ref(), last, renew, now)?),
                Err(error) => Err(error.to_string()),
            };
            Some(Task { site, task })
        };
        let mut tasks: Vec<Task<'_>> = config.live.sites.iter().filter_map(task).collect();
        tasks.sort_by_key(|it| !matches!(it.task, Ok(RenewalTask::GoOn)));
        tasks
    }

    /// The record of the last pass. One that is damaged is written anew.
    fn before(&self) -> Option<RenewalRecord> {
        RenewalRecord::load(&self.config.fixed.paths.state).ok().flatten()
    }

    fn run(&self, tasks: Vec<Task<'_>>) -> Vec<Passed> {
        let state = &self.config.fixed.paths.state;
        let before = self.before();
        let asked = tasks.iter().filter(|it| it.task == Ok(RenewalTask::Ask)).map(|it| it.site);
        let mut answers = self.ask(asked.collect()).into_iter();
        let mut rolling = rolls_of_zones(state);
        let mut left = tasks.len();
        let mut passed = Vec::new();
        for Task { site, task } in tasks {
            let last = before.as_ref().and_then(|it| it.site(&site.name));
            let wait = self.share(left);
            left -= 1;
            passed.extend(match task {
                Err(error) => Some(failed(site, last, None, error)),
                Ok(RenewalTask::Later(in_use)) => {
                    Some(later(site, in_use, last.and_then(|it| it.asked)))
                }
                Ok(RenewalTask::GoOn) => Some(self.roll(site, last, None, wait)),
                Ok(RenewalTask::Ask) => match answers.next() {
                    Some(Ok(Some((in_use, zone)))) => {
                        Some(self.renew(site, last, in_use, zone, &mut rolling, wait))
                    }
                    Some(Ok(None)) | None => None,
                    Some(Err(error)) => Some(failed(site, last, None, error)),
                },
            });
        }
        passed
    }

    /// The certificate that is in use for each of `sites`.
    fn ask(&self, sites: Vec<&SiteConfig>) -> Vec<Result<Option<(InUse, String)>, String>> {
        if sites.is_empty() {
            return Vec::new();
        }
        let started = self.started();
        let (mut client, seen) = match started {
            Ok(started) => started,
            Err(error) => {
                let error = error_chain(&error);
                return sites.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let mut collector = SiteCollector::new(&mut client, self.config, self.text, &seen);
        let ask = |site: &SiteConfig| match Instant::now() < self.deadline {
            true => match collector.site(site, None) {
                Ok(site) => Ok(in_use(&site)),
                Err(error) => Err(error.to_string()),
            },
            false => Err("Cloudflare was not asked within the time of this run".to_owned()),
        };
        sites.into_iter().map(ask).collect()
    }

    fn started(&self) -> anyhow::Result<(Client, SeenIdentities)> {
        let client = roll::client(self.config)?;
        let (seen, _): (_, IdentitiesFrom) = identities(self.config)?;
        Ok((client, seen))
    }

    fn renew(
        &self,
        site: &SiteConfig,
        last: Option<&SiteRenewal>,
        in_use: InUse,
        zone: String,
        rolling: &mut Vec<(String, String)>,
        wait: Duration,
    ) -> Passed {
        let (Some(renew), now) = (self.config.cloudflare.renew, Timestamp::now()) else {
            return later(site, in_use, None);
        };
        if !in_use.is_due(renew, now) {
            return later(site, in_use, Some(now));
        }
        // The sites of a zone share its certificate, and two rolls would delete each other's.
        if let Some((_, other)) = rolling.iter().find(|(rolled, _)| *rolled == zone) {
            let said = format!("waits for the roll of {other} in the same zone");
            return passed(site, Some(in_use), Outcome::Waiting, said);
        }
        rolling.push((zone, site.name.clone()));
        let ca = ca_of(self.config, now);
        let leaf = ca.not_after.map(|ends| InUse { level: in_use.level, ends });
        if let Some(leaf) = leaf.filter(|it| it.is_due(renew, now)) {
            let error = format!(
                "{}: the CA ends on {}, and a new leaf with it, so it would be due again at once; \
                 make a new CA (`aop ca create`) and name it in cloudflare.ca",
                ca.file,
                date(leaf.ends)
            );
            return failed(site, last, Some(in_use), error);
        }
        self.roll(site, last, Some(in_use), wait)
    }

    /// Goes on with the roll of `site`; with `begin`, begins one for that certificate.
    fn roll(
        &self,
        site: &SiteConfig,
        last: Option<&SiteRenewal>,
        begin: Option<InUse>,
        wait: Duration,
    ) -> Passed {
        let level = begin.map(|it| it.level);
        let rolled = match roll::run_unattended(self.file, &site.name, level, wait, self.json) {
            Ok(rolled) => rolled,
            Err(error) => return failed(site, last, begin, error_chain(&error)),
        };
        let UnattendedRoll { record, state, waits_for, stopped } = rolled;
        let known = begin.or_else(|| last.and_then(SiteRenewal::in_use));
        let new = record.leaf.as_ref().zip(record.level());
        let new = new.map(|(leaf, level)| InUse { level, ends: leaf.not_after });
        let mut passed = match state {
            RollState::Done => {
                let said = match new {
                    Some(new) => format!("renewed, to {}", date(new.ends)),
                    None => "the roll is done".to_owned(),
                };
                passed(site, new, Outcome::Done, said)
            }
            RollState::Undone => {
                passed(site, known, Outcome::Done, "the roll was taken back".to_owned())
            }
            RollState::Waiting | RollState::Unknown(_) => {
                let event = waits_for.unwrap_or_else(|| "the next run".to_owned());
                passed(site, known, Outcome::Waiting, format!("the roll waits for {event}"))
            }
            RollState::Stopped => {
                let (why, cure) = stopped.unwrap_or_default();
                failed(site, last, begin, format!("{why}; {cure}"))
            }
        };
        passed.told.notes = record.notes;
        passed
    }

    /// The time for the next of so many sites.
    fn share(&self, sites: usize) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left / u32::try_from(sites.max(1)).unwrap_or(u32::MAX)
    }
}

/// The zones with a roll in progress: the identifier, and the site.
fn rolls_of_zones(state: &Path) -> Vec<(String, String)> {
    let rolls = RollRecord::load_all(state).unwrap_or_default().into_iter().flatten();
    let running = rolls.filter(|it| !it.is_done());
    running.map(|it| (it.zone.as_str().to_owned(), it.site)).collect()
}

fn later(site: &SiteConfig, in_use: InUse, asked: Option<Timestamp>) -> Passed {
    let days = days_until(in_use.ends, Timestamp::now());
    let days = count(usize::try_from(days).unwrap_or_default(), "day");
    let said = format!("{} level, ends in {days}: nothing to do", level_name(in_use.level));
    let kept = SiteRenewal::good(&site.name, Some(in_use), asked);
    Passed { told: told(&kept, Outcome::Later, said), kept }
}

fn failed(
    site: &SiteConfig,
    last: Option<&SiteRenewal>,
    in_use: Option<InUse>,
    error: String,
) -> Passed {
    let kept = SiteRenewal::failed(&site.name, last, in_use, Timestamp::now(), error.clone());
    Passed { told: told(&kept, Outcome::Failed, error), kept }
}

fn passed(site: &SiteConfig, in_use: Option<InUse>, outcome: Outcome, said: String) -> Passed {
    let kept = SiteRenewal::good(&site.name, in_use, None);
    Passed { told: told(&kept, outcome, said), kept }
}

fn told(kept: &SiteRenewal, outcome: Outcome, said: String) -> RenewedSite {
    let level = kept.level.map(level_name);
    let notes = Vec::new();
    RenewedSite { site: kept.site.clone(), level, ends: kept.ends, outcome, said, notes }
}

fn level_name(level: CertificateLevel) -> PresentedLevel {
    match level {
        CertificateLevel::Zone => PresentedLevel::Zone,
        CertificateLevel::Host => PresentedLevel::Host,
    }
}
