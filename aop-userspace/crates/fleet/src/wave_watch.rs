//! The progress of a wave, from reading to reading of etcd: its hosts have not taken the order yet,
//! carry it out, wait, or keep what it asks for, or they stop the wave. Pure.
//!
//! A host that has stopped the wave once stops it for good, however it reports later.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use aop_api::{ModeName, Order, OrderState, OriginReport, Request};
use aop_config::FleetName;

use crate::StoredFleet;

/// The time until a host that reports must have taken an order: two reports, and their jitter.
const TAKES_AT_MOST: Duration = Duration::from_secs(45);
/// The same after etcd was away: a host then reports within a minute.
const TAKES_AT_MOST_AFTER_ETCD: Duration = Duration::from_secs(75);
/// The time that a host may be missing before it counts as silent. Its lease has expired already.
const MISSING_AT_MOST: Duration = Duration::from_secs(20);
/// The time for which a host may carry an order out. A reload is the longest: 75 s.
const CARRIES_OUT_AT_MOST: Duration = Duration::from_secs(180);

/// The hosts of a wave, as they were last seen.
#[derive(Debug)]
pub struct WaveWatch {
    serial: u64,
    /// Whether the order asks hosts to confirm what waits there.
    confirms: bool,
    /// The moment at which each host must have taken the order.
    taken_by: Instant,
    hosts: BTreeMap<FleetName, WatchedHost>,
}

#[derive(Debug)]
struct WatchedHost {
    /// The instance that reported when the order was given.
    instance: String,
    /// The modes in force then.
    modes: Modes,
    stage: HostStage,
    /// Since when its report is missing.
    missing: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostStage {
    Asked,
    /// It has begun to carry the order out, and was seen so since this moment.
    Begun(Instant),
    Waiting,
    Lasting,
    /// It has stopped the wave, for this reason.
    Stopped(String),
}

/// The modes in a report.
#[derive(Debug, PartialEq, Eq)]
struct Modes {
    packets: ModeName,
    overrides: Vec<String>,
    sites_enforcing: usize,
}

impl Modes {
    fn of(report: &OriginReport) -> Self {
        Self {
            packets: report.mode.clone(),
            overrides: report.overrides.clone(),
            sites_enforcing: report.sites_enforcing,
        }
    }
}

/// The progress of the hosts of a wave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaveProgress {
    /// Hosts that have not taken the order.
    pub asked: usize,
    /// Hosts that carry it out.
    pub begun: usize,
    /// Hosts on which it waits for a confirmation.
    pub waiting: usize,
    /// Hosts on which it lasts.
    pub lasting: usize,
    /// Hosts that stop the wave, each with the reason.
    pub stops: Vec<(FleetName, String)>,
}

impl WaveProgress {
    /// Hosts on which the order can still come to last, or stop the wave.
    #[must_use]
    pub fn open(&self) -> usize {
        self.asked + self.begun + self.waiting
    }
}

impl WaveWatch {
    /// Follows `order`, which was given at `now`, on the hosts with these reports.
    #[must_use]
    pub fn begin(order: &Order, hosts: &BTreeMap<FleetName, OriginReport>, now: Instant) -> Self {
        let watched = |(name, report): (&FleetName, &OriginReport)| {
            let host = WatchedHost {
                instance: report.instance.clone(),
                modes: Modes::of(report),
                stage: HostStage::Asked,
                missing: None,
            };
            (name.clone(), host)
        };
        Self {
            serial: order.serial,
            confirms: matches!(order.request, Request::Confirm),
            taken_by: now + TAKES_AT_MOST,
            hosts: hosts.iter().map(watched).collect(),
        }
    }

    /// Notes what etcd held at `now`.
    pub fn read(&mut self, fleet: &StoredFleet, now: Instant) {
        let Self { serial, confirms, taken_by, hosts } = self;
        for (name, host) in hosts {
            if let HostStage::Stopped(_) = host.stage {
                continue;
            }
            let stage = match (fleet.reports().get(name), fleet.doubt(name)) {
                (_, Some(doubt)) => Some(HostStage::Stopped(doubt)),
                (Some(Ok(report)), None) => {
                    host.missing = None;
                    Some(host.stage_by(report, *serial, *confirms, *taken_by, now))
                }
                (Some(Err(_)) | None, None) => host.missing_at(now),
            };
            if let Some(stage) = stage {
                host.stage = stage;
            }
        }
    }

    /// Notes that etcd could not be read at `now`: hosts get time again to report, and to take the
    /// order.
    pub fn etcd_is_away(&mut self, now: Instant) {
        self.taken_by = now + TAKES_AT_MOST_AFTER_ETCD;
        for host in self.hosts.values_mut() {
            host.missing = None;
        }
    }

    /// The progress by all readings.
    #[must_use]
    pub fn progress(&self) -> WaveProgress {
        let mut progress = WaveProgress::default();
        for (name, host) in &self.hosts {
            match &host.stage {
                HostStage::Asked => progress.asked += 1,
                HostStage::Begun(_) => progress.begun += 1,
                HostStage::Waiting => progress.waiting += 1,
                HostStage::Lasting => progress.lasting += 1,
                HostStage::Stopped(why) => progress.stops.push((name.clone(), why.clone())),
            }
        }
        progress
    }
}

impl WatchedHost {
    /// The stage of a host that does not report at `now`; `None` as long as it may be missing.
    fn missing_at(&mut self, now: Instant) -> Option<HostStage> {
        let since = *self.missing.get_or_insert(now);
        let is_silent = now.duration_since(since) > MISSING_AT_MOST;
        is_silent.then(|| HostStage::Stopped("it does not report any more".to_owned()))
    }

    /// The stage of a host with this report at `now`.
    fn stage_by(
        &self,
        report: &OriginReport,
        serial: u64,
        confirms: bool,
        taken_by: Instant,
        now: Instant,
    ) -> HostStage {
        let stopped = |why: &str| HostStage::Stopped(why.to_owned());
        if report.instance != self.instance {
            return stopped("another host reports under its name now");
        }
        let Some(order) = report.orders.iter().find(|order| order.serial == serial) else {
            let newest = report.orders.iter().map(|order| order.serial).max();
            return match newest.filter(|newest| *newest > serial) {
                Some(newer) => HostStage::Stopped(format!("it took order {newer} instead")),
                None if now > taken_by => {
                    stopped("it reports, and does not take the order: see `aop status` there")
                }
                None => HostStage::Asked,
            };
        };
        match &order.state {
            OrderState::Begun => {
                let since = if let HostStage::Begun(since) = self.stage { since } else { now };
                if now.duration_since(since) > CARRIES_OUT_AT_MOST {
                    return HostStage::Stopped(format!(
                        "it began to carry the order out, and has not ended after {} s: see `aop \
                         status` there",
                        CARRIES_OUT_AT_MOST.as_secs()
                    ));
                }
                HostStage::Begun(since)
            }
            OrderState::Waiting => HostStage::Waiting,
            OrderState::Lasting | OrderState::Done => HostStage::Lasting,
            // It has confirmed itself after the operator read its report.
            OrderState::Refused
                if confirms && report.pending.is_none() && Modes::of(report) == self.modes =>
            {
                HostStage::Lasting
            }
            OrderState::Refused => {
                let error = order.error.as_deref().unwrap_or("it does not say why");
                HostStage::Stopped(format!("it refused: {error}"))
            }
            OrderState::TakenBack => {
                stopped("it went back: no confirmation, or too few pulls, in time")
            }
            OrderState::Unknown(state) => {
                HostStage::Stopped(format!("its state {state} is not known here"))
            }
        }
    }
}
