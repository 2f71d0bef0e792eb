//! The document of `aop cloudflare status`: what Cloudflare says about origin pulls, what this host
//! believes, what arrives, and where they disagree.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{FindingOutcome, SeenIdentity, names::stable_names};

/// Every site, as Cloudflare and this host see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CloudflareReport {
    /// The base of the API's URLs.
    pub api: String,
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// The source of the identities.
    pub identities_from: IdentitiesFrom,
    /// The sites, in the order of the configuration.
    pub sites: Vec<SiteAtCloudflare>,
}

/// One site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteAtCloudflare {
    /// The site's name.
    pub site: String,
    /// Cloudflare's side: the zones of its hosts.
    pub zones: Vec<ZoneAtCloudflare>,
    /// This host's side: the client CAs.
    pub trusts: Vec<TrustedCa>,
    /// And the further rules for the certificate, as the configuration has them.
    pub requires: Vec<String>,
    /// The certificates that peers presented, the last presented first.
    pub identities: Vec<SeenIdentity>,
    /// The disagreements of these, the wrong ones first.
    pub findings: Vec<CloudflareFinding>,
}

/// One zone of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ZoneAtCloudflare {
    /// Its name.
    pub zone: String,
    /// Its identifier.
    pub id: String,
    /// Its status: `active` if Cloudflare serves it.
    pub status: String,
    /// Its SSL mode.
    pub ssl_mode: SslMode,
    /// Whether the global certificate is switched on.
    pub global_on: bool,
    /// Whether the zone's own certificate is switched on.
    pub zone_on: bool,
    /// The certificates that were uploaded.
    pub certificates: Vec<CertificateAtCloudflare>,
    /// The hosts of the site in this zone. A star stands for hosts that are not listed.
    pub hosts: Vec<HostAtCloudflare>,
}

/// One certificate that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateAtCloudflare {
    /// Its identifier.
    pub id: String,
    /// Its level: `zone` or `host`.
    pub level: PresentedLevel,
    /// Its state at the edges.
    pub status: DeploymentStatus,
    /// When it was uploaded.
    pub uploaded_on: Option<Timestamp>,
    /// Its expiry.
    pub expires_on: Option<Timestamp>,
    /// Its subject; `null` if Cloudflare shows no certificate that can be read.
    pub subject: Option<String>,
    /// Its issuer, then the issuers of the intermediates that were uploaded with it.
    pub issuers: Vec<String>,
    /// Its serial number, in hex.
    pub serial: Option<String>,
    /// SHA-256 of its public key, in hex.
    pub spki_sha256: Option<String>,
    /// SHA-256 of the whole certificate, in hex.
    pub sha256: Option<String>,
    /// Why this host would refuse it: the name of a refusal.
    pub refused_as: Option<String>,
    /// Details of that.
    pub refused_detail: Option<String>,
    /// When a peer last presented it here.
    pub last_seen: Option<Timestamp>,
}

/// One host at Cloudflare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAtCloudflare {
    /// The host.
    pub host: String,
    /// The certificate of the host level that it is associated with.
    pub associated: Option<String>,
    /// Whether that association is on. Off: Cloudflare presents nothing to this host.
    pub enabled: Option<bool>,
    /// The state of the association at the edges.
    pub association_status: Option<DeploymentStatus>,
    /// The level whose certificate Cloudflare should present, from all of this.
    pub presents: PresentedLevel,
}

/// One client CA of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedCa {
    /// `cloudflare-global`, or the path of a file.
    pub client_ca: String,
    /// The subjects of its certificates.
    pub subjects: Vec<String>,
}

/// A disagreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudflareFinding {
    /// Its stable name.
    pub name: String,
    /// Whether it must be corrected.
    pub result: FindingOutcome,
    /// The zone, host, certificate or file that it concerns.
    pub about: String,
    /// The finding, as a sentence.
    pub said: String,
    /// The cure.
    pub cure: String,
}

stable_names! {
    /// The source of identities.
    IdentitiesFrom {
        /// The running daemon.
        Daemon = "daemon",
        /// No daemon runs; the file that the last one left.
        Stored = "stored",
    }
}

stable_names! {
    /// The level of a certificate that Cloudflare presents.
    PresentedLevel {
        /// None: Cloudflare presents no certificate.
        Nothing = "nothing",
        /// The certificate that Cloudflare presents for every customer.
        Global = "global",
        /// The certificate of the zone.
        Zone = "zone",
        /// The certificate of the host.
        Host = "host",
    }
}

stable_names! {
    /// The SSL mode of a zone. Cloudflare presents a client certificate in the last three alone.
    SslMode {
        /// Visitors cannot use HTTPS, and the origin is asked over plain HTTP.
        Off = "off",
        /// The origin is asked over plain HTTP.
        Flexible = "flexible",
        /// The origin is asked over TLS; its certificate is not verified.
        Full = "full",
        /// The origin is asked over TLS; its certificate is verified.
        Strict = "strict",
        /// As `Strict`, and also for visitors without HTTPS.
        OriginPull = "origin_pull",
    }
}

stable_names! {
    /// The state of a certificate, or of the association of a host with one.
    DeploymentStatus {
        /// It was accepted.
        Initializing = "initializing",
        /// It is on its way to the edges.
        PendingDeployment = "pending_deployment",
        /// It is at the edges.
        Active = "active",
        /// It is being removed.
        PendingDeletion = "pending_deletion",
        /// It was removed.
        Deleted = "deleted",
        /// It did not reach the edges.
        DeploymentTimedOut = "deployment_timed_out",
        /// It could not be removed from the edges.
        DeletionTimedOut = "deletion_timed_out",
    }
}

impl SslMode {
    /// Whether Cloudflare presents a client certificate in this mode; `None` if the mode is not
    /// known.
    #[must_use]
    pub fn presents_certificates(&self) -> Option<bool> {
        match self {
            Self::Off | Self::Flexible => Some(false),
            Self::Full | Self::Strict | Self::OriginPull => Some(true),
            Self::Unknown(_) => None,
        }
    }
}
