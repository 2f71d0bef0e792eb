//! The fate of a connection after a message (RFC 9112, 9.3 and 9.6).

use crate::message::Version;

/// Whether the connection may carry another message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Persistence {
    /// It may.
    #[default]
    KeepAlive,
    /// This message is the last.
    Close,
}

/// The options in the Connection fields of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    close: bool,
    keep_alive: bool,
}

impl Options {
    /// Adds the options of one field.
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// The persistence that they give to a message of this version. `close` decides, wherever it
    /// stands.
    pub(super) fn persistence(self, version: Version) -> Persistence {
        match version {
            Version::Http10 if !self.keep_alive => Persistence::Close,
            _ if self.close => Persistence::Close,
            Version::Http10 | Version::Http11 | Version::Http2 => Persistence::KeepAlive,
        }
    }
}

/// The seconds in a Keep-Alive field: `timeout=5, max=100`.
pub(super) fn timeout(value: &[u8]) -> Option<u64> {
    value.split(|byte| *byte == b',').find_map(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let seconds = match (parts.next(), parts.next()) {
            (Some(name), Some(seconds)) if name.eq_ignore_ascii_case(b"timeout") => seconds,
            _ => return None,
        };
        crate::syntax::length(seconds).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_decides_and_http10_must_ask_to_go_on() {
        let persistence = |version, values: &[&str]| {
            let mut options = Options::default();
            values.iter().for_each(|value| options.add(value.as_bytes()));
            options.persistence(version)
        };
        use Persistence::{Close, KeepAlive};
        for (values, http10, http11) in [
            (&[][..], Close, KeepAlive),
            (&["Keep-Alive"], KeepAlive, KeepAlive),
            (&["x, CLOSE"], Close, Close),
            (&["close", "keep-alive"], Close, Close),
            (&["keep-alive ,close"], Close, Close),
            (&["closed, keep-alives"], Close, KeepAlive),
        ] {
            assert_eq!(persistence(Version::Http10, values), http10, "{values:?}");
            assert_eq!(persistence(Version::Http11, values), http11, "{values:?}");
        }
    }

    #[test]
    fn a_timeout_is_a_parameter_among_others() {
        assert_eq!(timeout(b"timeout=5"), Some(5));
        assert_eq!(timeout(b"max=100, Timeout = 75"), Some(75));
        for none in [&b""[..], b"timeout", b"timeout=", b"timeout=-1", b"max=3", b"timeout=1.5"] {
            assert_eq!(timeout(none), None, "{none:?}");
        }
    }
}
