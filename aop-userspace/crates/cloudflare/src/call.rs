//! The calls of the API: each as a value, and as URL, method and body.
//!
//! Source: <https://developers.cloudflare.com/api/resources/origin_tls_client_auth/>.

#[cfg(test)]
mod tests;

use std::fmt;

use aop_config::Host;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    AssociationChange, CertificateAndKey, CertificateId, CertificateLevel, SecretText, ZoneId,
    model::host_text,
};

/// The number of entries that a page is to have.
const PER_PAGE: u32 = 50;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Whether the token is active.
    VerifyToken,
    /// The zones of this name that the token may see.
    Zones {
        /// The name.
        #[serde(with = "host_text")]
        name: Host,
    },
    /// The SSL mode of a zone.
    SslMode {
        /// The zone.
        zone: ZoneId,
    },
    /// Whether Cloudflare presents its global certificate to a zone's origins.
    GlobalSwitch {
        /// The zone.
        zone: ZoneId,
    },
    /// Switches that.
    SetGlobal {
        /// The zone.
        zone: ZoneId,
        /// Whether it is on.
        on: bool,
    },
    /// Whether Cloudflare presents the zone's own certificate.
    ZoneSwitch {
        /// The zone.
        zone: ZoneId,
    },
    /// Switches that.
    SetZone {
        /// The zone.
        zone: ZoneId,
        /// Whether it is on.
        on: bool,
    },
    /// One page of the certificates of a level.
    Certificates {
        /// The zone.
        zone: ZoneId,
        /// The level.
        level: CertificateLevel,
        /// The page, from 1.
        page: u32,
    },
    /// One certificate.
    Certificate {
        /// The zone.
        zone: ZoneId,
        /// The level.
        level: CertificateLevel,
        /// The certificate.
        id: CertificateId,
    },
    /// Uploads a certificate with its key.
    Upload {
        /// The zone.
        zone: ZoneId,
        /// The level.
        level: CertificateLevel,
        /// The certificate and the key.
        pair: CertificateAndKey,
    },
    /// Deletes a certificate.
    Delete {
        /// The zone.
        zone: ZoneId,
        /// The level.
        level: CertificateLevel,
        /// The certificate.
        id: CertificateId,
    },
    /// Associates hosts with certificates of the host level.
    Associate {
        /// The zone.
        zone: ZoneId,
        /// The changes, at most 100 for a certificate.
        hosts: Vec<AssociationChange>,
    },
    /// The association of one host.
    Association {
        /// The zone.
        zone: ZoneId,
        /// The host.
        #[serde(with = "host_text")]
        host: Host,
    },
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// Reads.
    Get,
    /// Adds.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

/// A call as an HTTP request. Its `Display` is the first line, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The method.
    pub method: HttpMethod,
    /// The path below the base of the API, with the query.
    pub path: String,
    /// The JSON body; it may have a private key.
    pub body: Option<SecretText>,
}

impl Call {
    /// The request.
    #[must_use]
    pub fn http(&self) -> HttpCall {
        use HttpMethod::{Delete, Get, Patch, Post, Put};
        let aop = |zone: &ZoneId, rest: &str| format!("/zones/{zone}/origin_tls_client_auth{rest}");
        let of_level = |zone: &ZoneId, level: &CertificateLevel, rest: &str| match level {
            CertificateLevel::Zone => aop(zone, rest),
            CertificateLevel::Host => aop(zone, &format!("/hostnames/certificates{rest}")),
        };
        let setting = |zone: &ZoneId, name: &str| format!("/zones/{zone}/settings/{name}");
        let (method, path, body) = match self {
            Self::VerifyToken => (Get, "/user/tokens/verify".to_owned(), None),
            Self::Zones { name } => (Get, format!("/zones?name={name}"), None),
            Self::SslMode { zone } => (Get, setting(zone, "ssl"), None),
            Self::GlobalSwitch { zone } => (Get, setting(zone, "tls_client_auth"), None),
            Self::SetGlobal { zone, on } => {
                let value = if *on { "on" } else { "off" };
                (Patch, setting(zone, "tls_client_auth"), Some(json!({ "value": value })))
            }
            Self::ZoneSwitch { zone } => (Get, aop(zone, "/settings"), None),
            Self::SetZone { zone, on } => {
                (Put, aop(zone, "/settings"), Some(json!({ "enabled": on })))
            }
            Self::Certificates { zone, level, page } => {
                let query = format!("?page={page}&per_page={PER_PAGE}");
                (Get, of_level(zone, level, &query), None)
            }
            Self::Certificate { zone, level, id } => {
                (Get, of_level(zone, level, &format!("/{id}")), None)
            }
            Self::Upload { zone, level, pair } => {
                let path = of_level(zone, level, "");
                return HttpCall { method: Post, path, body: Some(upload_body(pair)) };
            }
            Self::Delete { zone, level, id } => {
                (Delete, of_level(zone, level, &format!("/{id}")), None)
            }
            Self::Associate { zone, hosts } => {
                let config: Vec<Value> = hosts.iter().map(association).collect();
                (Put, aop(zone, "/hostnames"), Some(json!({ "config": config })))
            }
            Self::Association { zone, host } => {
                (Get, aop(zone, &format!("/hostnames/{host}")), None)
            }
        };
        let body = body.map(|body| Zeroizing::new(body.to_string()).into());
        HttpCall { method, path, body }
    }

    /// Whether the call changes something at Cloudflare. If its answer is lost, the change may
    /// have been made.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.http().method != HttpMethod::Get
    }
}

fn association(change: &AssociationChange) -> Value {
    let AssociationChange { host, certificate, enabled } = change;
    json!({ "hostname": host.as_str(), "cert_id": certificate.as_str(), "enabled": enabled })
}

/// Written without a copy of the key that nobody wipes.
fn upload_body(CertificateAndKey { certificate, private_key }: &CertificateAndKey) -> SecretText {
    let quoted = |text: &str| {
        let mut quoted = Zeroizing::new(String::with_capacity(2 * text.len() + 2));
        quoted.push('"');
        for letter in text.chars() {
            match letter {
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '"' | '\\' => quoted.extend(['\\', letter]),
                // PEM has no other control characters, and JSON allows none.
                _ if letter.is_control() => quoted.push(' '),
                _ => quoted.push(letter),
            }
        }
        quoted.push('"');
        quoted
    };
    let (certificate, key) = (quoted(certificate), quoted(private_key.expose()));
    let names = [r#"{"certificate":"#, r#","private_key":"#, "}"];
    let length = names.iter().map(|name| name.len()).sum::<usize>();
    let mut body = Zeroizing::new(String::with_capacity(length + certificate.len() + key.len()));
    for part in [names[0], &certificate, names[1], &key, names[2]] {
        body.push_str(part);
    }
    body.into()
}

impl HttpMethod {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for HttpCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.name(), self.path)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.http().fmt(f)
    }
}
