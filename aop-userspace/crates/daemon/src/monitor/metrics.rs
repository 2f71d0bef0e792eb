//! `/metrics`: the figures of the daemon in the formats of Prometheus and OpenMetrics.

mod families;
mod label_bounds;

use std::{fmt, sync::Arc, time::SystemTime};

use families::Families;
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use tokio::task::spawn_blocking;

use super::cached::Cached;
use crate::Daemon;

/// The text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' own text, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The metrics of one daemon.
pub(super) struct Metrics {
    daemon: Arc<Daemon>,
    /// When the daemon became ready, in seconds since 1970.
    began: u64,
    last: Cached<Arc<EncodedMetrics>>,
}

/// The figures, in both formats.
struct EncodedMetrics {
    prometheus: String,
    openmetrics: String,
}

impl Format {
    /// OpenMetrics if the `Accept` header names it, as that of Prometheus does. Quality values are
    /// ignored: both formats hold the same figures.
    pub(super) fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metrics {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        let lived = SystemTime::UNIX_EPOCH + daemon.started.elapsed();
        let began = SystemTime::now().duration_since(lived).unwrap_or_default().as_secs();
        Self { daemon, began, last: Cached::new() }
    }

    /// The page. `ready` is the answer of `/readyz`.
    ///
    /// # Errors
    /// The figures cannot be encoded.
    pub(super) async fn page(&self, format: Format, ready: bool) -> Result<String, fmt::Error> {
        let (daemon, began) = (self.daemon.clone(), self.began);
        let write = move || write(Families::new(&daemon.metrics_snapshot(), began, ready));
        let page = async { spawn_blocking(write).await.map_err(|_| fmt::Error)? };
        let page = self.last.get(page).await?;
        Ok(match format {
            Format::Prometheus => page.prometheus.clone(),
            Format::OpenMetrics => page.openmetrics.clone(),
        })
    }
}

fn write(families: Families) -> Result<Arc<EncodedMetrics>, fmt::Error> {
    let mut registry = Registry::with_prefix("aop");
    registry.register_collector(Box::new(families));
    let (mut prometheus, mut openmetrics) = (String::new(), String::new());
    prometheus_text::encode(&mut prometheus, &registry)?;
    text::encode(&mut openmetrics, &registry)?;
    Ok(Arc::new(EncodedMetrics { prometheus, openmetrics }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_sent_only_to_clients_that_accept_it() {
        assert_eq!(Format::accepted(""), Format::Prometheus);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    }
}
