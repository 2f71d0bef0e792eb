//! The HTTP relay between a real TLS client and a real HTTP server.

mod application;
mod client;
mod cut_uploads;
mod drain;
mod errors;
mod extended_connect;
mod faithful_responses;
mod floods;
mod forwarded_visitor;
mod frames;
mod framing;
mod hosts;
mod idle;
mod isolation;
mod malformed_streams;
mod observe_mode;
mod policy_of_now;
mod progress_timeout;
mod refusal_response;
mod requests;
mod retries;
mod sharing;
mod slow_sides;
mod smuggling;
mod websocket;

use application::Application;

use super::rig::{Rig, RigConfig, SITE};
use crate::Denial;

/// A rig whose upstream speaks HTTP/1.1.
async fn before_http1() -> (Rig, Application) {
    let application = Application::http1().await;
    (Rig::with(RigConfig::upstream(&application.url())).await, application)
}

/// A rig whose upstream speaks HTTP/2.
async fn before_h2c() -> (Rig, Application) {
    let application = Application::h2c().await;
    (Rig::with(RigConfig::upstream(&application.url())).await, application)
}

impl Rig {
    /// Waits until `count` requests were denied, all for `denial`.
    async fn denied(&self, denial: Denial, count: u64) {
        self.counters_when(|counters| {
            let refusals_counted: Vec<_> = counters
                .denied
                .iter()
                .map(|denied| (&*denied.site, denied.denial, denied.count))
                .collect();
            refusals_counted == [(SITE, denial, count)]
        })
        .await;
    }
}
