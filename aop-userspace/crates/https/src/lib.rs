//! The client of HTTPS, for the processes without privilege that fetch lists and talk to
//! Cloudflare's API. It decides what holds for every request; the answers are read by its callers.

use std::time::Duration;

use aop_config::SecureUrl;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
pub use ureq::{Agent, Body, Error, Timeout, http};

/// A client for `url`, and for paths below it. `deadline` limits name resolution, connection,
/// handshake and the whole answer together. The cryptography is the default provider of the
/// process. Redirects are answers, not followed, and each request has a connection of its own: the
/// far end may close a kept one just when a change is sent on it.
#[must_use]
pub fn client(url: &SecureUrl, deadline: Duration) -> Agent {
    let tls =
        TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(RootCerts::WebPki).build();
    let mut config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(deadline))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .user_agent(concat!("aop/", env!("CARGO_PKG_VERSION")));
    if url.is_plain() {
        // A proxy from the environment would send the plain text to another host.
        config = config.proxy(None);
    }
    config.build().into()
}
