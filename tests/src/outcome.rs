//! The outcome of a pull, as its sender sees it.

use std::fmt;

/// The four outcomes of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullOutcome {
    /// An HTTP response came.
    Served {
        /// The status code.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// TCP connected, and the peer ended the connection without a response: with a TLS alert, a
    /// reset or a close. The text says which.
    Refused(String),
    /// No packet came back: no connection, no reset, no ICMP.
    Silence,
    /// Anything else, such as a port without a listener.
    Other(String),
}

impl PullOutcome {
    /// Whether a response with a success status came.
    #[must_use]
    pub fn served(&self) -> bool {
        matches!(self, Self::Served { status: 200..=299, .. })
    }

    /// Whether the peer refused after TCP had connected.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Whether no packet came back.
    #[must_use]
    pub fn silent(&self) -> bool {
        *self == Self::Silence
    }

    /// The body of the response. Empty without a response.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match self {
            Self::Served { body, .. } => body,
            Self::Refused(_) | Self::Silence | Self::Other(_) => &[],
        }
    }

    /// Interprets the exit code of curl, the HTTP status, whether TCP connected, the body, and the
    /// error message `said`.
    pub(crate) fn of_curl(
        code: i32,
        status: u16,
        connected: bool,
        body: Vec<u8>,
        said: &str,
    ) -> Self {
        match code {
            0 => Self::Served { status, body },
            // A timeout. Without a connection it is silence. With a connection the peer stalled.
            28 if !connected => Self::Silence,
            // 35 handshake, 52 empty response, 55 sending, 56 receiving, 98 certificate required.
            // In TLS 1.3 the client finishes its handshake before the server verifies the
            // client certificate. So that refusal comes at the first read, as 56.
            35 | 52 | 55 | 56 | 98 if connected => Self::Refused(shorten(said)),
            // curl reports this alert as if it had failed to verify the server itself. Only the
            // text differs.
            60 if said.contains("certificate verification failed") => {
                Self::Refused("alert: certificate expired".into())
            }
            _ => Self::Other(format!("curl {code}: {}", shorten(said))),
        }
    }
}

/// The part of curl's message that identifies the refusal.
fn shorten(said: &str) -> String {
    let line = said.lines().find(|line| line.starts_with("curl: (")).unwrap_or(said).trim();
    if let Some((_, reason)) = line.split_once("SSL routines::")
        && let Some(alert) = alert(reason.split(',').next().unwrap_or(reason).trim())
    {
        return format!("alert: {alert}");
    }
    if line.contains("reset by peer") {
        return String::from("connection reset");
    }
    if line.contains("Empty reply") || line.contains("unexpected eof") {
        return String::from("connection closed");
    }
    line.split_once(") ").map_or(line, |(_, text)| text).to_owned()
}

/// The TLS alert from OpenSSL's name for it: `tlsv1 alert unknown ca`, or for some alerts without
/// the word alert, `tlsv1 unrecognized name`.
fn alert(reason: &str) -> Option<&str> {
    let came =
        ["tlsv1 ", "tlsv13 ", "sslv3 "].iter().find_map(|version| reason.strip_prefix(version));
    came.map(|alert| alert.strip_prefix("alert ").unwrap_or(alert))
}

impl fmt::Display for PullOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served { status, .. } => write!(f, "served ({status})"),
            Self::Refused(how) => write!(f, "refused ({how})"),
            Self::Silence => f.write_str("silence"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: &str = "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::\
        tlsv13 alert certificate required, errno 0";

    #[test]
    fn a_refusal_at_the_first_read_names_its_alert() {
        let outcome = PullOutcome::of_curl(56, 0, true, Vec::new(), ALERT);
        assert_eq!(outcome, PullOutcome::Refused("alert: certificate required".into()));
    }

    #[test]
    fn an_alert_is_read_without_the_word_alert() {
        let said =
            "curl: (35) OpenSSL/3.0.19: error:0A000458:SSL routines::tlsv1 unrecognized name";
        let outcome = PullOutcome::of_curl(35, 0, true, Vec::new(), said);
        assert_eq!(outcome, PullOutcome::Refused("alert: unrecognized name".into()));
    }

    #[test]
    fn a_timeout_is_silence_only_without_a_connection() {
        assert!(PullOutcome::of_curl(28, 0, false, Vec::new(), "").silent());
        assert!(!PullOutcome::of_curl(28, 0, true, Vec::new(), "").silent());
    }

    #[test]
    fn a_closed_port_is_neither_refusal_nor_silence() {
        let outcome = PullOutcome::of_curl(7, 0, false, Vec::new(), "curl: (7) Failed to connect");
        assert!(matches!(outcome, PullOutcome::Other(_)));
    }
}
