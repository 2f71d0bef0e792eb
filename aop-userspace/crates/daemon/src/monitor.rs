//! The pages of the monitor: `/healthz`, `/readyz`, `/metrics`, and the data of the status page.

mod cached;
mod liveness;
mod metrics;
mod overview;
mod readiness;

use std::sync::Arc;

use aop_monitor::{Page, PageStatus, Pages};
pub(super) use liveness::{LivenessProbe, LivenessResponder, liveness};
use metrics::{Format, Metrics};
use overview::OverviewData;
use readiness::Readiness;

use super::Daemon;

/// All pages of one daemon.
pub(super) struct MonitorPages {
    probe: LivenessProbe,
    readiness: Readiness,
    metrics: Metrics,
    overview: OverviewData,
}

impl MonitorPages {
    pub(super) fn new(daemon: Arc<Daemon>, probe: LivenessProbe) -> Self {
        let metrics = Metrics::new(Arc::clone(&daemon));
        let overview = OverviewData::new(Arc::clone(&daemon));
        Self { probe, readiness: Readiness::new(daemon), metrics, overview }
    }
}

impl Pages for MonitorPages {
    async fn health(&self) -> Page {
        match self.probe.is_answered().await {
            true => Page::text(PageStatus::Good, "alive"),
            false => Page::text(PageStatus::Unavailable, "the daemon's main loop does not answer"),
        }
    }

    async fn readiness(&self) -> Page {
        match self.readiness.obstacles().await.as_slice() {
            [] => Page::text(PageStatus::Good, "ready"),
            obstacles => Page::text(PageStatus::Unavailable, &obstacles.join("\n")),
        }
    }

    async fn metrics(&self, accept: &str) -> Page {
        let format = Format::accepted(accept);
        let ready = self.readiness.obstacles().await.is_empty();
        match self.metrics.page(format, ready).await {
            Ok(body) => {
                Page { status: PageStatus::Good, content_type: format.content_type(), body }
            }
            Err(error) => Page::text(PageStatus::Failed, &error.to_string()),
        }
    }

    async fn overview(&self) -> Page {
        match self.overview.json(self.readiness.draining()).await {
            Ok(body) => Page::json(body),
            Err(error) => Page::text(PageStatus::Failed, &error.to_string()),
        }
    }
}
