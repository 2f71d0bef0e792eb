//! Asks the daemon, or reads what is known without one: the pinned maps, the configuration and the
//! files in `paths.state`.

use std::{collections::HashSet, net::IpAddr, path::Path};

use anyhow::bail;
use aop_api::{
    AdmissionContext, ModeName, Opening, Request, Status, StrangerContext, StrangersReport,
    moment_text,
};
use aop_cloudflare::OwnCertificates;
use aop_config::{Config, Paths};
use aop_control::{ClientError, status_from_maps};
use aop_firewall::FirewallSnapshot;
use aop_types::monotonic_seconds;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// Asks the daemon. Without one, the error says with `consequence` what did not happen.
pub(crate) fn ask<T: DeserializeOwned>(
    file: &Path,
    request: Request,
    consequence: &str,
) -> anyhow::Result<T> {
    match aop_control::send_request(&Config::paths(file)?.runtime, request) {
        Err(error @ ClientError::NotRunning(_)) => bail!("{error}: {consequence}"),
        answered => Ok(answered?),
    }
}

/// Asks the daemon. Without one, `read` makes the document.
pub(crate) fn ask_or<T: DeserializeOwned>(
    file: &Path,
    request: Request,
    read: impl FnOnce(&Paths) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let paths = Config::paths(file)?;
    match aop_control::send_request(&paths.runtime, request) {
        Err(ClientError::NotRunning(_)) => read(&paths),
        answered => Ok(answered?),
    }
}

/// The state that is known without a daemon.
pub(crate) struct OfflineState {
    /// The pinned firewall; `None` if none is loaded.
    pub(crate) reading: Option<FirewallSnapshot>,
    /// `None` if it is not readable. It adds names of sites, the configured mode and the operator's
    /// own prefixes; without it they are left out.
    pub(crate) config: Option<Config>,
    pub(crate) openings: Vec<Opening>,
}

impl OfflineState {
    /// Reads the pins in `paths`, and the configuration `file`.
    pub(crate) fn read(file: &Path, paths: &Paths) -> anyhow::Result<Self> {
        let config = Config::load(file).ok();
        let wanted = config.as_ref().map(|config| &config.live.interfaces);
        let reading = aop_firewall::read(&paths.pins, wanted)?;
        let openings = match reading {
            Some(_) => aop_daemon::stored_openings(&paths.state).unwrap_or_default(),
            None => Vec::new(),
        };
        Ok(Self { reading, config, openings })
    }

    /// The operator's own prefixes (`firewall.extra`).
    pub(crate) fn extra(&self) -> &[IpNet] {
        self.config.as_ref().map_or(&[], |config| &config.live.extra)
    }

    pub(crate) fn site_names(&self) -> Vec<String> {
        self.config.as_ref().map_or(Vec::new(), |config| config.live.site_names())
    }

    pub(crate) fn opened_networks(&self) -> Vec<IpNet> {
        self.openings.iter().map(|opening| opening.network).collect()
    }
}

/// The status from the daemon or, without one, as far as the pinned maps hold it. `file` is the
/// configuration.
pub(crate) fn status(file: &Path) -> anyhow::Result<Status> {
    ask_or(file, Request::Status, |paths| offline_status(file, paths))
}

fn offline_status(file: &Path, paths: &Paths) -> anyhow::Result<Status> {
    let state = OfflineState::read(file, paths)?;
    let configured = state.config.as_ref().map(|config| match config.fixed.firewall {
        Some(_) => ModeName::from(config.live.mode),
        None => ModeName::Off,
    });
    let sites = state.site_names();
    let mut status = status_from_maps(state.reading.as_ref(), &sites);
    let (set_at, pending) = match state.reading {
        Some(_) => aop_daemon::stored_overrides(&paths.state),
        None => (None, None),
    };
    status.explain_modes(configured, set_at, pending);
    status.warnings.push(match state.reading {
        Some(_) if aop_firewall::is_in_use(&paths.pins) => format!(
            "aop runs and guards, but does not answer: its socket in {} is gone. Pulls are served \
             all the same. If this lasts: `systemctl restart aop`",
            paths.runtime.display()
        ),
        Some(_) => "aop is not running: packets are still filtered, but no origin pull is served. \
                    Start it: `systemctl start aop`"
            .into(),
        None => "aop is not running, and no firewall is loaded: every packet passes".into(),
    });
    let (last_crash, unfinished) = aop_daemon::stored_crash(&paths.state);
    status.last_crash = last_crash;
    if let Some(since) = unfinished.filter(|_| !aop_firewall::is_in_use(&paths.pins)) {
        status.warnings.push(format!(
            "aop was killed, or it crashed; that run began {}. See `journalctl -u aop`",
            moment_text(since, Timestamp::now())
        ));
    }
    status.openings = state.openings;
    let (own, now) = (OwnCertificates::read(&paths.state), Timestamp::now());
    let seen = aop_daemon::stored_identities(&paths.state).unwrap_or_default().sites.into_iter();
    let seen: Vec<_> = seen.flat_map(|site| site.identities).collect();
    status.cloudflare = own.of_sites(&sites, &seen, now);
    status.warnings.extend(own.warnings(&sites, now));
    Ok(status)
}

/// The strangers as the daemon knows them or, without one, as it has stored them.
pub(crate) fn strangers(file: &Path) -> anyhow::Result<StrangersReport> {
    ask_or(file, Request::Strangers, |paths| {
        let state = OfflineState::read(file, paths)?;
        let reading = state.reading.as_ref();
        let admission = reading.map(|it| it.admission.clone()).unwrap_or_default();
        let (opened, published) = (state.opened_networks(), aop_prefixes::snapshot());
        let peers: HashSet<IpAddr> =
            reading.into_iter().flat_map(|it| &it.peers).map(|peer| peer.address).collect();
        let context = StrangerContext {
            admission: AdmissionContext::new(
                &admission,
                state.extra(),
                &opened,
                monotonic_seconds(),
            ),
            extra: state.extra(),
            authenticated: &|address| peers.contains(&address),
            published: published.list.prefixes(),
        };
        aop_daemon::stored_strangers(&paths.state, &context).map_err(anyhow::Error::msg)
    })
}
