//! Cloudflare's words about origin pulls, as its API has them.

use crate::names::stable_names;

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
