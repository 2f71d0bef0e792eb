//! The API's zones, certificates and hosts, as types of our own.

use std::{fmt, str::FromStr};

use aop_api::DeploymentStatus;
use aop_config::Host;
use aop_tls::{InspectedCertificate, UploadedLeaf};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An identifier that the API gave, safe in a path: letters, digits, `-` and `_`.
macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                if (1..=64).contains(&text.len()) && text.bytes().all(known) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!("{text:?} is not an identifier of Cloudflare's API"))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from($name(text): $name) -> Self {
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

identifiers! {
    /// The identifier of a zone.
    ZoneId,
    /// The identifier of an uploaded certificate.
    CertificateId,
}

/// The level of an own certificate. A host's takes precedence over the zone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CertificateLevel {
    /// For every host of the zone.
    Zone,
    /// For the hosts that are associated with it.
    Host,
}

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its identifier.
    pub id: ZoneId,
    /// Its name.
    pub name: String,
    /// Its status: `active` if Cloudflare serves it.
    pub status: String,
    /// The name of its account, if the API tells.
    pub account: Option<String>,
}

/// A client certificate that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedCertificate {
    /// Its identifier.
    pub id: CertificateId,
    /// Its state at the edges.
    pub status: DeploymentStatus,
    /// When it was uploaded.
    pub uploaded_on: Option<Timestamp>,
    /// Its expiry, as the API tells.
    pub expires_on: Option<Timestamp>,
    /// The certificate itself; `None` if the API gives none, or none that can be read.
    pub leaf: Option<LeafFacts>,
}

/// The facts of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafFacts {
    /// Distinguished name of its subject.
    pub subject: String,
    /// Distinguished names of its issuer, and of the issuers of its intermediates.
    pub issuers: Vec<String>,
    /// Its serial number, hexadecimal, as identities have it.
    pub serial: String,
    /// SHA-256 of its public key, hexadecimal, as identities have it.
    pub spki_sha256: String,
    /// SHA-256 of the whole leaf, hexadecimal.
    pub sha256: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// The leaf and its intermediates in DER, hexadecimal.
    pub(crate) chain: Vec<String>,
}

/// The association of a host with a certificate of the host level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAssociation {
    /// The certificate.
    pub certificate: CertificateId,
    /// The state of the association at the edges.
    pub status: DeploymentStatus,
    /// The state of the certificate at the edges.
    pub certificate_status: Option<DeploymentStatus>,
    /// Whether the host gets the certificate. `Some(false)`: Cloudflare sends no certificate at all
    /// to this host, whatever the zone has. `None`: the association is void.
    pub enabled: Option<bool>,
    /// The expiry of the certificate.
    pub expires_on: Option<Timestamp>,
}

/// A change of the association of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationChange {
    /// The host.
    #[serde(with = "host_text")]
    pub host: Host,
    /// The certificate.
    pub certificate: CertificateId,
    /// As in [`HostAssociation::enabled`].
    pub enabled: Option<bool>,
}

/// The state of an API token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenStatus {
    /// `active`, `disabled` or `expired`.
    pub status: String,
    /// Its expiry, if it has one.
    pub expires_on: Option<Timestamp>,
}

impl CertificateLevel {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for CertificateLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl LeafFacts {
    /// The facts of a chain in PEM, leaf first.
    ///
    /// # Errors
    /// The text has no certificate, or is damaged.
    pub fn of_pem(text: &str) -> Result<Self, String> {
        let leaf = UploadedLeaf::from_pem(text, "the certificate").map_err(|it| it.to_string())?;
        let InspectedCertificate { identity, .. } = leaf.inspect()?;
        Ok(Self {
            subject: identity.subject,
            issuers: leaf.issuers(),
            serial: identity.serial,
            spki_sha256: identity.spki_sha256,
            sha256: leaf.sha256(),
            not_before: aop_api::timestamp(identity.not_before),
            not_after: aop_api::timestamp(identity.not_after),
            chain: leaf.chain().map(|der| HEXLOWER.encode(der)).collect(),
        })
    }

    /// The leaf and its intermediates, without those that cannot be decoded.
    pub(crate) fn uploaded(&self) -> UploadedLeaf {
        let decoded = self.chain.iter().filter_map(|der| HEXLOWER.decode(der.as_bytes()).ok());
        UploadedLeaf::from_der(decoded.collect())
    }
}

/// A host as text.
pub(crate) mod host_text {
    use aop_config::Host;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(host: &Host, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(host.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Host, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
