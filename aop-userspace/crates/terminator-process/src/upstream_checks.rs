//! Health checks of upstreams: checks periodically whether the upstreams of sites with an
//! `upstream_check` work.
//!
//! The terminator process does this, not the daemon, since the answers come from the network. The
//! results are only reported: pulls are relayed to an upstream that fails its check as to any
//! other. [`UpstreamProbe`] runs one check.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aop_api::UpstreamReport;
use aop_config::SiteConfig;
use aop_terminator::UpstreamProbe;
use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinSet, time::sleep};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The pause between two rounds of checks.
const INTERVAL: Duration = Duration::from_secs(5);
/// The number of checks that run at the same time.
const CONCURRENT: usize = 32;

/// The checks of the sites that are served. Dropping it ends them.
pub(super) struct UpstreamChecks {
    checker: Arc<Checker>,
    _end: DropGuard,
}

#[derive(Default)]
struct Checker {
    table: Mutex<CheckTable>,
    renewed: Notify,
}

/// The sites with a check, and the results.
#[derive(Default)]
struct CheckTable {
    sites: Vec<SiteCheck>,
    results: HashMap<UpstreamProbe, CheckResult>,
}

/// The check of one site.
#[derive(Clone)]
struct SiteCheck {
    site: String,
    upstream: String,
    probe: UpstreamProbe,
}

/// The last result of a check, and the first site that needs it.
struct CheckResult {
    site: String,
    upstream: String,
    last: Option<Result<(), String>>,
}

impl UpstreamChecks {
    /// Starts the checks of `sites`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn start(sites: &[SiteConfig]) -> Self {
        let (checker, end) = (Arc::new(Checker::default()), CancellationToken::new());
        let checks = Self { checker: checker.clone(), _end: end.clone().drop_guard() };
        checks.replace(sites);
        // The task ends when the checks are dropped.
        TaskTracker::new().spawn(end.run_until_cancelled_owned(checker.run()));
        checks
    }

    /// Replaces the checks by those of `sites`. Keeps the results of checks that stay.
    pub(super) fn replace(&self, sites: &[SiteConfig]) {
        let check = |site: &SiteConfig| {
            let probe = UpstreamProbe::for_site(site)?;
            Some(SiteCheck { site: site.name.clone(), upstream: site.upstream.to_string(), probe })
        };
        let sites: Vec<_> = sites.iter().filter_map(check).collect();
        let mut table = self.checker.table.lock();
        let mut results = HashMap::new();
        for SiteCheck { site, upstream, probe } in sites.iter().cloned() {
            let before = table.results.remove(&probe);
            let last = before.and_then(|before| before.last);
            results.entry(probe).or_insert(CheckResult { site, upstream, last });
        }
        *table = CheckTable { sites, results };
        drop(table);
        self.checker.renewed.notify_one();
    }

    /// The result for each site with a check.
    pub(super) fn report(&self) -> Vec<UpstreamReport> {
        let table = self.checker.table.lock();
        let report = |check: &SiteCheck| {
            let last = table.results.get(&check.probe).and_then(|result| result.last.as_ref());
            UpstreamReport {
                site: check.site.clone(),
                upstream: check.upstream.clone(),
                good: last.map(Result::is_ok),
                error: last.and_then(|last| last.clone().err()),
            }
        };
        table.sites.iter().map(report).collect()
    }
}

impl Checker {
    /// Runs all checks again and again. Never returns.
    async fn run(self: Arc<Self>) {
        loop {
            self.run_all().await;
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = self.renewed.notified() => {}
            }
        }
    }

    async fn run_all(&self) {
        let probes: Vec<UpstreamProbe> = self.table.lock().results.keys().cloned().collect();
        let (mut left, mut running) = (probes.into_iter(), JoinSet::new());
        loop {
            while running.len() < CONCURRENT
                && let Some(probe) = left.next()
            {
                running.spawn(async move {
                    let result = probe.run().await;
                    (probe, result)
                });
            }
            match running.join_next().await {
                None => return,
                Some(Ok((probe, result))) => self.record(&probe, result),
                Some(Err(error)) => tracing::error!("an upstream check did not finish: {error}"),
            }
        }
    }

    fn record(&self, probe: &UpstreamProbe, result: Result<(), String>) {
        let mut table = self.table.lock();
        // A reload may have removed the check in the meantime.
        let Some(CheckResult { site, upstream, last }) = table.results.get_mut(probe) else {
            return;
        };
        match (&*last, &result) {
            (Some(Ok(())) | None, Err(error)) => {
                tracing::warn!(%site, %upstream, %error, "an upstream fails its check");
            }
            (Some(Err(_)), Ok(())) => {
                tracing::info!(%site, %upstream, "an upstream passes its check again");
            }
            (Some(Err(_)), Err(_)) | (Some(Ok(())) | None, Ok(())) => {}
        }
        *last = Some(result);
    }
}

#[cfg(test)]
mod tests;
