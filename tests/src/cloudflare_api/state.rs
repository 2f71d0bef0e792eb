//! The state of Cloudflare, and of its edge.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A permission of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// *Zone: Read*.
    ZoneRead,
    /// *Zone Settings: Read*.
    SettingsRead,
    /// *Zone Settings: Edit*.
    SettingsEdit,
    /// *SSL and Certificates: Read*.
    SslRead,
    /// *SSL and Certificates: Edit*.
    SslEdit,
}

/// An API token.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The token.
    pub text: String,
    /// Whether it is active.
    pub active: bool,
    /// Its permissions.
    pub scopes: BTreeSet<Scope>,
    /// The account whose zones it sees.
    pub account: String,
}

/// The delays of the edges.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// A certificate or association is `initializing`.
    pub initializing: Duration,
    /// Then it is `pending_deployment`.
    pub deployment: Duration,
    /// A deleted certificate is `pending_deletion`, and still presented.
    pub deletion: Duration,
    /// Lists show what was true this long ago.
    pub list_lag: Duration,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// The tokens.
    pub tokens: Vec<ApiToken>,
    /// The zones.
    pub zones: Vec<ZoneState>,
    /// The delays of changes from now on.
    pub delays: Delays,
    /// Whether the next deployments end as `deployment_timed_out`.
    pub deployments_time_out: bool,
    /// The most entries on a page.
    pub page_size: usize,
    /// Cloudflare's global certificate and its key, in PEM.
    pub global: Option<(String, String)>,
    pub(super) last_id: u64,
}

/// A zone.
#[derive(Clone, Debug)]
pub struct ZoneState {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its account.
    pub account: String,
    /// The SSL mode.
    pub ssl: String,
    /// Whether the global certificate is presented.
    pub global: bool,
    /// Whether the zone's certificate is presented.
    pub zone: bool,
    /// The certificates of both levels.
    pub certificates: Vec<StoredCertificate>,
    /// All associations that were made, oldest first.
    pub associations: Vec<HostAssociation>,
}

/// A certificate that was uploaded.
#[derive(Clone, Debug)]
pub struct StoredCertificate {
    /// Its identifier.
    pub id: String,
    /// Whether it is of the host level.
    pub of_hosts: bool,
    /// The certificate, in PEM.
    pub certificate: String,
    /// The key, in PEM.
    pub key: String,
    /// When it was uploaded.
    pub uploaded: Instant,
    /// When it is deployed; `None` if it never is.
    pub active: Option<Instant>,
    pub(super) delays: Delays,
    pub(super) deleted: Option<Instant>,
    pub(super) uploaded_on: jiff::Timestamp,
}

/// An association of a host with a certificate.
#[derive(Clone, Debug)]
pub struct HostAssociation {
    /// The host.
    pub host: String,
    /// The certificate.
    pub certificate: String,
    /// Whether the certificate is presented; `None` if the association is void.
    pub enabled: Option<bool>,
    /// When it was made.
    pub made: Instant,
    /// When the edge knows it.
    pub active: Instant,
    pub(super) delays: Delays,
}

/// A certificate and key that the edge presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgePair {
    /// `host`, `zone` or `global`.
    pub level: &'static str,
    /// The certificate, in PEM.
    pub certificate: String,
    /// The key, in PEM.
    pub key: String,
}

impl Default for Delays {
    /// Everything happens at once.
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { initializing: none, deployment: none, deletion: none, list_lag: none }
    }
}

impl Default for ApiState {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            zones: Vec::new(),
            delays: Delays::default(),
            deployments_time_out: false,
            page_size: 50,
            global: None,
            last_id: 0,
        }
    }
}

impl ApiState {
    /// Adds a token for all that aop does in the zones of `account`.
    pub fn add_token(&mut self, text: &str, account: &str) {
        self.add_narrow_token(
            text,
            account,
            &[Scope::ZoneRead, Scope::SettingsEdit, Scope::SslEdit],
        );
    }

    /// Adds a token with these permissions.
    pub fn add_narrow_token(&mut self, text: &str, account: &str, scopes: &[Scope]) {
        self.tokens.push(ApiToken {
            text: text.to_owned(),
            active: true,
            scopes: scopes.iter().copied().collect(),
            account: account.to_owned(),
        });
    }

    /// Adds a zone in the SSL mode `strict`, where nothing is switched on.
    pub fn add_zone(&mut self, name: &str, account: &str) {
        let id = self.new_id().replace('-', "");
        self.zones.push(ZoneState {
            id,
            name: name.to_owned(),
            account: account.to_owned(),
            ssl: "strict".to_owned(),
            global: false,
            zone: false,
            certificates: Vec::new(),
            associations: Vec::new(),
        });
    }

    /// The zone of this name or identifier.
    pub fn zone(&mut self, name: &str) -> Option<&mut ZoneState> {
        self.zones.iter_mut().find(|zone| zone.name == name || zone.id == name)
    }

    /// Stores a certificate without the checks of an upload. Returns its identifier.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn store(&mut self, zone: &str, of_hosts: bool, certificate: &str, key: &str) -> String {
        let (id, delays, uploaded) = (self.new_id(), self.delays, Instant::now());
        let active = uploaded + delays.initializing + delays.deployment;
        let stored = StoredCertificate {
            id: id.clone(),
            of_hosts,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            uploaded,
            active: (!self.deployments_time_out).then_some(active),
            delays,
            deleted: None,
            uploaded_on: jiff::Timestamp::now(),
        };
        self.zone(zone).expect("a zone of this name").certificates.push(stored);
        id
    }

    /// Associates a host with a certificate, without the checks of the API.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn associate(&mut self, zone: &str, host: &str, certificate: &str, enabled: Option<bool>) {
        let (delays, made) = (self.delays, Instant::now());
        let associations = &mut self.zone(zone).expect("a zone of this name").associations;
        associations.push(HostAssociation {
            host: host.to_owned(),
            certificate: certificate.to_owned(),
            enabled,
            made,
            active: made + delays.initializing + delays.deployment,
            delays,
        });
    }

    /// The pair that the edge presents to the origin of `host` at `now`: that of the host takes
    /// precedence over that of the zone, and that over the global one.
    #[must_use]
    pub fn presented(&self, host: &str, now: Instant) -> Option<EdgePair> {
        let below = |zone: &&ZoneState| {
            host == zone.name || host.strip_suffix(&zone.name).is_some_and(|it| it.ends_with('.'))
        };
        let zone = self.zones.iter().filter(below).max_by_key(|zone| zone.name.len())?;
        if ["off", "flexible"].contains(&&*zone.ssl) {
            return None;
        }
        let pair = |level, stored: &StoredCertificate| EdgePair {
            level,
            certificate: stored.certificate.clone(),
            key: stored.key.clone(),
        };
        let of_host = zone.associations.iter().rev();
        let of_host = of_host.filter(|it| it.host == host).find(|it| it.active <= now);
        match of_host.map(|association| (association.enabled, association)) {
            // A disabled association sends nothing, even where the zone has a certificate.
            Some((Some(false), _)) => return None,
            Some((Some(true), association)) => {
                let stored = zone.certificates.iter().find(|it| it.id == association.certificate);
                if let Some(stored) = stored.filter(|stored| stored.is_presented(now)) {
                    return Some(pair("host", stored));
                }
            }
            Some((None, _)) | None => {}
        }
        // Of several certificates the one that was deployed last is presented.
        let of_zone = zone.certificates.iter().filter(|it| !it.of_hosts && it.is_presented(now));
        if zone.zone
            && let Some(newest) = of_zone.max_by_key(|stored| (stored.active, stored.uploaded))
        {
            return Some(pair("zone", newest));
        }
        let (certificate, key) = self.global.clone().filter(|_| zone.global)?;
        Some(EdgePair { level: "global", certificate, key })
    }

    pub(super) fn new_id(&mut self) -> String {
        self.last_id += 1;
        format!("{:08x}-0c35-4c7f-82c7-8e9487d3ff60", 0x2458_ce5a + self.last_id)
    }
}

impl StoredCertificate {
    /// The status that the API tells; `None` once it is gone.
    #[must_use]
    pub fn status(&self, now: Instant) -> Option<&'static str> {
        if let Some(deleted) = self.deleted {
            return (now < deleted + self.delays.deletion).then_some("pending_deletion");
        }
        let since = now.saturating_duration_since(self.uploaded);
        Some(match self.active {
            _ if since < self.delays.initializing => "initializing",
            _ if since < self.delays.initializing + self.delays.deployment => "pending_deployment",
            Some(_) => "active",
            None => "deployment_timed_out",
        })
    }

    fn is_presented(&self, now: Instant) -> bool {
        self.active.is_some_and(|active| active <= now) && self.status(now).is_some()
    }

    /// Whether a list shows it: what happened in the last moments is not in it yet.
    pub(super) fn is_listed(&self, now: Instant) -> bool {
        let Some(then) = now.checked_sub(self.delays.list_lag) else { return true };
        self.uploaded <= then && self.status(then.max(self.uploaded)).is_some()
    }
}

impl HostAssociation {
    /// The status that the API tells.
    #[must_use]
    pub fn status(&self, now: Instant) -> &'static str {
        let since = now.saturating_duration_since(self.made);
        match self.active <= now {
            true => "active",
            false if since < self.delays.initializing => "initializing",
            false => "pending_deployment",
        }
    }
}
