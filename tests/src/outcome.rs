//! What came of a pull, as its sender saw it.

use std::fmt;

/// The four ends of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An HTTP answer came through.
    Served {
        /// Its status.
        status: u16,
        /// Its body.
        body: Vec<u8>,
    },
    /// The connection stood, and the far end ended it without an answer: by a TLS alert, a reset
    /// or a close. The text says how.
    Refused(String),
    /// Not one packet came back: no connection, no reset, no ICMP.
    Silence,
    /// Anything else, such as a port that nobody listens on.
    Other(String),
}

impl Outcome {
    /// Whether the far end answered with success.
    #[must_use]
    pub fn served(&self) -> bool {
        matches!(self, Self::Served { status: 200..=299, .. })
    }

    /// Whether the far end refused after the connection stood.
    #[must_use]
    pub fn refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Whether nothing came back.
    #[must_use]
    pub fn silent(&self) -> bool {
        *self == Self::Silence
    }

    /// The body of an answer, empty for anything else.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match self {
            Self::Served { body, .. } => body,
            Self::Refused(_) | Self::Silence | Self::Other(_) => &[],
        }
    }

    /// Reads what curl left: its exit code, HTTP status, whether TCP connected, body, complaint.
    pub(crate) fn of_curl(
        code: i32,
        status: u16,
        connected: bool,
        body: Vec<u8>,
        said: &str,
    ) -> Self {
        match code {
            0 => Self::Served { status, body },
            // A deadline. Without a connection it was silence; with one, the far end stalled.
            28 if !connected => Self::Silence,
            // 35 handshake, 52 empty answer, 55 sending, 56 receiving, 98 certificate required. In
            // TLS 1.3 the client believes the handshake done before the server judges its
            // certificate, so that refusal comes at the first read, as 56.
            35 | 52 | 55 | 56 | 98 if connected => Self::Refused(shorten(said)),
            // curl takes the alert for its own verdict on the server, except in the words.
            60 if said.contains("certificate verification failed") => {
                Self::Refused("alert: certificate expired".into())
            }
            _ => Self::Other(format!("curl {code}: {}", shorten(said))),
        }
    }
}

/// The part of curl's message that tells one refusal from another.
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

/// The alert that came, out of OpenSSL's name for it: `tlsv1 alert unknown ca`, and for some
/// without that word, `tlsv1 unrecognized name`.
fn alert(reason: &str) -> Option<&str> {
    let came =
        ["tlsv1 ", "tlsv13 ", "sslv3 "].iter().find_map(|version| reason.strip_prefix(version));
    came.map(|alert| alert.strip_prefix("alert ").unwrap_or(alert))
}

impl fmt::Display for Outcome {
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

    const ALERT: &str = "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0";

    #[test]
    fn a_refusal_at_the_first_read_names_its_alert() {
        let outcome = Outcome::of_curl(56, 0, true, Vec::new(), ALERT);
        assert_eq!(outcome, Outcome::Refused("alert: certificate required".into()));
    }

    #[test]
    fn an_alert_is_read_without_that_word_too() {
        let said =
            "curl: (35) OpenSSL/3.0.19: error:0A000458:SSL routines::tlsv1 unrecognized name";
        let outcome = Outcome::of_curl(35, 0, true, Vec::new(), said);
        assert_eq!(outcome, Outcome::Refused("alert: unrecognized name".into()));
    }

    #[test]
    fn a_deadline_is_silence_only_without_a_connection() {
        assert!(Outcome::of_curl(28, 0, false, Vec::new(), "").silent());
        assert!(!Outcome::of_curl(28, 0, true, Vec::new(), "").silent());
    }

    #[test]
    fn a_closed_port_is_neither_refusal_nor_silence() {
        let outcome = Outcome::of_curl(7, 0, false, Vec::new(), "curl: (7) Failed to connect");
        assert!(matches!(outcome, Outcome::Other(_)));
    }
}
