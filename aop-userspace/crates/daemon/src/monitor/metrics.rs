//! `/metrics`: the daemon in numbers, as Prometheus and OpenMetrics have them.

mod bounded;
mod families;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use families::Families;
use hyper::header::HeaderValue;
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use tokio::sync::Mutex;

use crate::Daemon;

/// For so long an answer stands, so that those who ask often cost little.
const STANDS: Duration = Duration::from_secs(1);

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' own text, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The numbers of one daemon.
pub(super) struct Metrics {
    daemon: Arc<Daemon>,
    /// When the daemon was ready, in seconds since 1970.
    began: u64,
    known: Mutex<Option<Known>>,
}

/// What was taken at one moment.
struct Known {
    at: Instant,
    prometheus: String,
    openmetrics: String,
}

impl Format {
    /// OpenMetrics for those who accept that, as Prometheus does. What they like better is not
    /// weighed: both tell the same.
    pub(super) fn asked_for(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
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
    pub(super) fn of(daemon: Arc<Daemon>) -> Self {
        let lived = SystemTime::UNIX_EPOCH + daemon.started.elapsed();
        let began = SystemTime::now().duration_since(lived).unwrap_or_default().as_secs();
        Self { daemon, began, known: Mutex::default() }
    }

    /// All numbers, beside whether aop is `ready`.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) async fn page(&self, format: Format, ready: bool) -> Result<String, fmt::Error> {
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|known| known.at.elapsed() >= STANDS) {
            let (daemon, began) = (self.daemon.clone(), self.began);
            let taken = tokio::task::spawn_blocking(move || {
                write(Families::new(&daemon.figures(), began, ready))
            });
            *known = Some(taken.await.map_err(|_| fmt::Error)??);
        }
        let page = known.as_ref().map(|known| match format {
            Format::Prometheus => known.prometheus.clone(),
            Format::OpenMetrics => known.openmetrics.clone(),
        });
        page.ok_or(fmt::Error)
    }
}

fn write(families: Families) -> Result<Known, fmt::Error> {
    let mut registry = Registry::with_prefix("aop");
    registry.register_collector(Box::new(families));
    let (mut prometheus, mut openmetrics) = (String::new(), String::new());
    prometheus_text::encode(&mut prometheus, &registry)?;
    text::encode(&mut openmetrics, &registry)?;
    Ok(Known { at: Instant::now(), prometheus, openmetrics })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_accepts_openmetrics_gets_it_and_everybody_else_the_older_text() {
        let asked =
            |accept: &'static str| Format::asked_for(Some(&HeaderValue::from_static(accept)));
        assert_eq!(Format::asked_for(None), Format::Prometheus);
        assert_eq!(asked("*/*"), Format::Prometheus);
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
    }
}
