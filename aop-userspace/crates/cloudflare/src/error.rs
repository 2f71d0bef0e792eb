//! Why a call has no answer, and what to do.

use std::fmt;

use aop_types::SafeText;
use serde::{Deserialize, Serialize};

use crate::Call;

/// The cure of a host in no zone.
pub(crate) const NO_ZONE_CURE: &str = "the zone is in another account, or the token is not for it. Give the token the permission \
     Zone: Read, with this zone among its zone resources, or use a token of the other account. If \
     no zone at Cloudflare has this host, take it out of the site's hosts";

/// Text from the network within an error.
pub(crate) type WhyText = SafeText<600>;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ApiError {
    /// Cloudflare refused, and changed nothing. To repeat the same call is of no use.
    #[error("{call}: Cloudflare refuses (HTTP status {status}): {}{cure}", listed(.messages))]
    Refused {
        /// The call, as method and path.
        call: WhyText,
        /// The status of HTTP.
        status: u16,
        /// The errors of the API.
        messages: Vec<ApiMessage>,
        /// The cause, as far as it is known.
        cure: RefusalCure,
    },
    /// Too many calls. Nothing was changed.
    #[error(
        "{call}: Cloudflare takes no more calls from this token for {retry_after} s; try again then"
    )]
    RateLimited {
        /// The call.
        call: WhyText,
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The API cannot be reached, or failed while it read. Nothing was changed.
    #[error(
        "{call}: Cloudflare's API did not answer ({why}); nothing was changed, try again later"
    )]
    Unavailable {
        /// The call.
        call: WhyText,
        /// The reason.
        why: WhyText,
    },
    /// The answer to a change was lost: it was made, or it was not. The caller must read the state
    /// before it makes the change again.
    #[error(
        "{call}: the answer was lost ({why}), so this change was made or was not; look before you \
         repeat it"
    )]
    Unclear {
        /// The call.
        call: WhyText,
        /// The reason.
        why: WhyText,
    },
    /// The answer is not one that the API is published to give. Nothing was changed.
    #[error("{call}: the answer is not as Cloudflare publishes it: {why}")]
    NotUnderstood {
        /// The call.
        call: WhyText,
        /// The reason.
        why: WhyText,
    },
    /// The token may see no zone that has this host.
    #[error(
        "{host}: this token sees no zone {}: {NO_ZONE_CURE}",
        .tried.iter().map(|name| &**name).collect::<Vec<_>>().join(" or ")
    )]
    NoZone {
        /// The host.
        host: WhyText,
        /// The names that were asked for.
        tried: Vec<WhyText>,
    },
    /// The process that talks to the API cannot be started, or broke. No call was sent.
    #[error("the process that talks to Cloudflare's API failed: {0}")]
    Process(WhyText),
}

/// One error of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiMessage {
    /// Its number.
    pub code: i64,
    /// Its text.
    pub message: SafeText<300>,
}

/// The cause of a refusal, and its cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCure {
    /// The token is not accepted for this call: it is wrong, or its scope is too narrow.
    Token,
    /// The token is not valid at all.
    WrongToken,
    /// The token is active, but not for this call.
    NarrowToken,
    /// There is no such zone for this token.
    UnknownZone,
    /// There is no such certificate, or host.
    Gone,
    /// The certificate is a CA, where a leaf must be.
    NotALeaf,
    /// The certificate cannot be used for another reason.
    BadCertificate,
    /// Hosts cannot be associated.
    BadAssociation,
    /// The answer is not of the API.
    NotTheApi,
    /// It is not known.
    Other,
}

impl RefusalCure {
    /// The cause of a refusal of `call` with this status of HTTP and these errors.
    #[must_use]
    pub fn of(call: &Call, status: u16, messages: &[ApiMessage]) -> Self {
        let has = |codes: &[i64]| messages.iter().any(|error| codes.contains(&error.code));
        let says = |text: &str| messages.iter().any(|it| it.message.to_lowercase().contains(text));
        match status {
            // The object in the path is not one: a zone that was deleted, or never existed.
            _ if has(&[7000, 7003]) => Self::UnknownZone,
            401 | 403 => Self::Token,
            // 1000, 1001: invalid token. 6003, 6111: the header. 9103 to 9109, 10000: no access.
            _ if has(&[1000, 1001, 6003, 6111, 9103, 9106, 9107, 9109, 10000, 10001]) => {
                Self::Token
            }
            _ => match call {
                Call::Certificate { .. } | Call::Delete { .. } | Call::Association { .. }
                    if status == 404 =>
                {
                    Self::Gone
                }
                Call::Upload { .. } if says("missing leaf certificate") => Self::NotALeaf,
                Call::Upload { .. } => Self::BadCertificate,
                Call::Associate { .. } => Self::BadAssociation,
                Call::VerifyToken
                | Call::Zones { .. }
                | Call::SslMode { .. }
                | Call::GlobalSwitch { .. }
                | Call::SetGlobal { .. }
                | Call::ZoneSwitch { .. }
                | Call::SetZone { .. }
                | Call::Certificates { .. }
                | Call::Certificate { .. }
                | Call::Delete { .. }
                | Call::Association { .. } => Self::Other,
            },
        }
    }

    const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::Token => {
                "the token is wrong, or may not do this: write another one into the file of \
                 cloudflare.token_file"
            }
            Self::WrongToken => {
                "the token is not valid (wrong, expired or revoked): make a new one in Cloudflare's \
                 dashboard under API tokens, and write it into the file of cloudflare.token_file"
            }
            Self::NarrowToken => {
                "the token is active, but may not do this: give it, for this zone, the permissions \
                 SSL and Certificates (Read for `status`, Edit for changes), Zone Settings: Read, \
                 and Zone: Read"
            }
            Self::UnknownZone => {
                "there is no such zone for this token: it was deleted, or is in another account"
            }
            Self::Gone => "it was removed, perhaps by hand in the dashboard",
            Self::NotALeaf => {
                "this is a CA certificate: upload the leaf that this CA issued, with its own key"
            }
            Self::BadCertificate => {
                "upload an X.509 v3 leaf that is not a CA, with its key: ECDSA P-256, RSA of 2048 \
                 bits or more, or ML-DSA (docs/certificates.md)"
            }
            Self::BadAssociation => {
                "a certificate can have at most 100 hosts, each within its zone; a host may be \
                 associated with a certificate of the host level alone"
            }
            Self::NotTheApi => {
                "the answer has not the form of the API: look whether a proxy on the way refuses \
                 the call, and at cloudflare.api"
            }
            Self::Other => return None,
        })
    }
}

impl fmt::Display for RefusalCure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().map_or(Ok(()), |text| write!(f, ". {}", capitalized(text)))
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn listed(messages: &[ApiMessage]) -> String {
    if messages.is_empty() {
        return "it gives no reason".to_owned();
    }
    let each = messages.iter().map(|ApiMessage { code, message }| format!("{message} ({code})"));
    each.collect::<Vec<_>>().join("; ")
}

impl ApiError {
    /// The loss of an answer: a change may have been made, and a question is open.
    pub(crate) fn lost(call: &Call, why: &str) -> Self {
        let (call_text, why) = (WhyText::new(&call.to_string()), WhyText::new(why));
        match call.changes() {
            true => Self::Unclear { call: call_text, why },
            false => Self::Unavailable { call: call_text, why },
        }
    }

    /// The API could not be reached, so it received nothing.
    pub(crate) fn unsent(call: &Call, why: &str) -> Self {
        let (call, why) = (WhyText::new(&call.to_string()), WhyText::new(why));
        Self::Unavailable { call, why }
    }

    /// An answer to `call` that cannot be read. A change may have been made.
    pub(crate) fn unreadable(call: &Call, why: &str) -> Self {
        match call.changes() {
            true => Self::lost(call, why),
            false => {
                let (call, why) = (WhyText::new(&call.to_string()), WhyText::new(why));
                Self::NotUnderstood { call, why }
            }
        }
    }

    pub(crate) fn process(why: impl fmt::Display) -> Self {
        Self::Process(WhyText::new(&why.to_string()))
    }

    /// Whether Cloudflare says that the certificate or host does not exist.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { cure: RefusalCure::Gone, .. })
    }

    /// Whether the call surely has changed nothing at Cloudflare.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::NotUnderstood { .. }
            | Self::NoZone { .. } => true,
            // The process may have sent it, whatever it answers.
            Self::Unclear { .. } | Self::Process(_) => false,
        }
    }
}
