//! Reads the answers of the API. Only the process that talks to it does this.

#[cfg(test)]
mod tests;

use aop_api::{DeploymentStatus, SslMode};
use aop_types::SafeText;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    ApiError, ApiMessage, Call, CertificateId, HostAssociation, LeafFacts, RefusalCure,
    TokenStatus, UploadedCertificate, Zone, error::WhyText,
};

/// Seconds to wait if Cloudflare does not say for how long.
const DEFAULT_RETRY: u64 = 60;
/// The limits of Cloudflare hold for five minutes: nobody waits longer.
const MAX_RETRY: u64 = 300;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// To [`Call::VerifyToken`].
    Token(TokenStatus),
    /// To [`Call::Zones`].
    Zones(Vec<Zone>),
    /// To [`Call::SslMode`].
    SslMode(SslMode),
    /// To the switches, and to their changes: whether it is on now.
    Switch(bool),
    /// To [`Call::Certificates`], and whether another page follows.
    Certificates { page: Vec<UploadedCertificate>, more: bool },
    /// To [`Call::Certificate`] and [`Call::Upload`].
    Certificate(Box<UploadedCertificate>),
    /// To [`Call::Delete`] and [`Call::Associate`].
    Done,
    /// To [`Call::Association`]; `None` if the host has none.
    Association(Option<HostAssociation>),
}

/// An HTTP response.
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    /// The header Retry-After.
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The form of every answer.
#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Option<Vec<RawMessage>>,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    result_info: Option<RawPage>,
}

#[derive(Deserialize)]
struct RawMessage {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: SafeText<300>,
}

#[derive(Deserialize)]
struct RawPage {
    #[serde(default)]
    page: u64,
    #[serde(default)]
    per_page: u64,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    total_count: u64,
}

#[derive(Deserialize)]
struct RawZone {
    id: crate::ZoneId,
    name: String,
    status: String,
    #[serde(default)]
    account: Option<RawAccount>,
}

#[derive(Deserialize)]
struct RawAccount {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawSetting {
    value: String,
}

#[derive(Deserialize)]
struct RawSwitch {
    enabled: bool,
}

#[derive(Deserialize)]
struct RawToken {
    status: String,
    #[serde(default)]
    expires_on: Option<Timestamp>,
}

#[derive(Deserialize)]
struct RawCertificate {
    id: CertificateId,
    status: DeploymentStatus,
    #[serde(default)]
    certificate: Option<String>,
    #[serde(default)]
    uploaded_on: Option<Timestamp>,
    #[serde(default)]
    expires_on: Option<Timestamp>,
}

#[derive(Deserialize)]
struct RawAssociation {
    #[serde(default)]
    cert_id: Option<String>,
    #[serde(default)]
    status: Option<DeploymentStatus>,
    #[serde(default)]
    cert_status: Option<DeploymentStatus>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    expires_on: Option<Timestamp>,
}

/// Reads the answer to `call`.
pub(crate) fn read(call: &Call, answer: &HttpAnswer) -> Result<Answer, ApiError> {
    let status = answer.status;
    let call_text = || WhyText::new(&call.to_string());
    match status {
        429 => {
            let seconds = answer.retry_after.as_deref().and_then(|text| text.trim().parse().ok());
            let retry_after = seconds.unwrap_or(DEFAULT_RETRY).clamp(1, MAX_RETRY);
            return Err(ApiError::RateLimited { call: call_text(), retry_after });
        }
        500.. => return Err(ApiError::lost(call, &format!("HTTP status {status}"))),
        300..400 => {
            let why = format!("HTTP status {status}: a redirect, which is not followed");
            return Err(ApiError::unreadable(call, &why));
        }
        _ => {}
    }
    let envelope = match serde_json::from_slice::<Envelope>(&answer.body) {
        Ok(envelope) => envelope,
        // A proxy on the way refuses with a page of its own.
        Err(_) if status >= 400 => {
            let (messages, cure) = (Vec::new(), RefusalCure::NotTheApi);
            return Err(ApiError::Refused { call: call_text(), status, messages, cure });
        }
        Err(error) => return Err(ApiError::unreadable(call, &format!("no JSON of it: {error}"))),
    };
    if !envelope.success || status >= 400 {
        let errors = envelope.errors.unwrap_or_default().into_iter();
        let errors = errors.map(|RawMessage { code, message }| ApiMessage { code, message });
        return match refused(call, status, errors.collect()) {
            // The host has no association.
            error if error.is_gone() && matches!(call, Call::Association { .. }) => {
                Ok(Answer::Association(None))
            }
            error => Err(error),
        };
    }
    result(call, envelope).map_err(|why| ApiError::unreadable(call, &why))
}

fn refused(call: &Call, status: u16, messages: Vec<ApiMessage>) -> ApiError {
    let cure = RefusalCure::of(call, status, &messages);
    ApiError::Refused { call: WhyText::new(&call.to_string()), status, messages, cure }
}

/// The result of a call that succeeded.
fn result(call: &Call, Envelope { result, result_info, .. }: Envelope) -> Result<Answer, String> {
    Ok(match call {
        Call::VerifyToken => {
            let RawToken { status, expires_on } = parsed(result)?;
            Answer::Token(TokenStatus { status, expires_on })
        }
        Call::Zones { .. } => {
            let zones: Vec<RawZone> = parsed(result)?;
            Answer::Zones(zones.into_iter().map(Zone::from).collect())
        }
        Call::SslMode { .. } => {
            let RawSetting { value } = parsed(result)?;
            Answer::SslMode(SslMode::from(value.as_str()))
        }
        Call::GlobalSwitch { .. } | Call::SetGlobal { .. } => {
            match parsed::<RawSetting>(result)?.value.as_str() {
                "on" => Answer::Switch(true),
                "off" => Answer::Switch(false),
                other => return Err(format!("value {other:?} is neither on nor off")),
            }
        }
        Call::ZoneSwitch { .. } | Call::SetZone { .. } => {
            Answer::Switch(parsed::<RawSwitch>(result)?.enabled)
        }
        Call::Certificates { page, .. } => {
            let certificates: Vec<RawCertificate> = parsed(result)?;
            let more = !certificates.is_empty()
                && result_info.is_some_and(|info| info.is_before_the_last(*page));
            let page = certificates.into_iter().map(UploadedCertificate::from).collect();
            Answer::Certificates { page, more }
        }
        Call::Certificate { .. } | Call::Upload { .. } => {
            Answer::Certificate(Box::new(certificate(result)?.into()))
        }
        Call::Delete { .. } | Call::Associate { .. } => Answer::Done,
        Call::Association { host, .. } => Answer::Association(association(result, host.as_str())?),
    })
}

fn parsed<T: DeserializeOwned>(result: Value) -> Result<T, String> {
    serde_json::from_value(result).map_err(|error| error.to_string())
}

/// One certificate: an object, or a list of one, as the API answers uploads in some versions.
fn certificate(result: Value) -> Result<RawCertificate, String> {
    if let Value::Array(list) = &result
        && let [only] = list.as_slice()
    {
        return parsed(only.clone());
    }
    parsed(result)
}

fn association(result: Value, host: &str) -> Result<Option<HostAssociation>, String> {
    // The API answers with an object, or with a list that has this host among others.
    let of_host = |it: &&Value| it.get("hostname").and_then(Value::as_str) == Some(host);
    let found = match result.as_array() {
        Some(list) => list.iter().find(of_host).cloned().unwrap_or_default(),
        None if result.is_null() || of_host(&&result) => result,
        // Taken for a host without an association, it would make the roll choose another level.
        None => return Err(format!("it is not about {host}")),
    };
    if found.is_null() {
        return Ok(None);
    }
    let raw: RawAssociation = parsed(found)?;
    let (Some(certificate), Some(status)) = (raw.cert_id.filter(|id| !id.is_empty()), raw.status)
    else {
        return Ok(None);
    };
    Ok(Some(HostAssociation {
        certificate: certificate.parse()?,
        status,
        certificate_status: raw.cert_status,
        enabled: raw.enabled,
        expires_on: raw.expires_on,
    }))
}

impl RawPage {
    /// Whether another page follows the requested one. A list that ignores pages has one.
    fn is_before_the_last(&self, requested: u32) -> bool {
        let Self { page, per_page, count, total_count } = self;
        *page == u64::from(requested)
            && *count > 0
            && page.saturating_sub(1).saturating_mul(*per_page).saturating_add(*count)
                < *total_count
    }
}

impl From<RawZone> for Zone {
    fn from(RawZone { id, name, status, account }: RawZone) -> Self {
        Self { id, name, status, account: account.and_then(|account| account.name) }
    }
}

impl From<RawCertificate> for UploadedCertificate {
    fn from(raw: RawCertificate) -> Self {
        let RawCertificate { id, status, certificate, uploaded_on, expires_on } = raw;
        let leaf = certificate.and_then(|text| LeafFacts::of_pem(&text).ok());
        Self { id, status, uploaded_on, expires_on, leaf }
    }
}
