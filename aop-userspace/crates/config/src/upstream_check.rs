//! The health check of a site's upstream: `upstream_check`.

use toml::{Spanned, Value};

use crate::{ConfigError, Upstream, parse::SourceFile};

/// The condition that a good upstream meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamCheck {
    /// It accepts connections.
    Connects,
    /// It answers a GET of this path with 2xx or 3xx.
    Answers(String),
}

/// The longest path. A longer one is surely a mistake.
const MAX_PATH: usize = 1024;

pub(crate) fn read(
    raw: Option<&Spanned<Value>>,
    upstream: &Upstream,
    src: &SourceFile<'_>,
) -> Result<Option<UpstreamCheck>, ConfigError> {
    let Some(raw) = raw else { return Ok(None) };
    let message = match (raw.get_ref(), upstream) {
        (Value::Boolean(false), _) => return Ok(None),
        (Value::Boolean(true), _) => return Ok(Some(UpstreamCheck::Connects)),
        (Value::String(path), Upstream::Http(_)) if is_path(path) => {
            return Ok(Some(UpstreamCheck::Answers(path.clone())));
        }
        (Value::String(_), Upstream::Bytes(_)) => {
            "a path needs HTTP, and this upstream takes bytes: write upstream_check = true, which \
             only connects"
        }
        (
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_),
            _,
        ) => {
            "upstream_check must be true, which only connects, or a path such as \"/healthz\", \
             which is requested"
        }
    };
    Err(src.error(raw.span(), message))
}

/// Whether `text` can be the target in a request line.
fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    text.starts_with('/') && text.len() <= MAX_PATH && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    fn check(upstream: &str, check: &str) -> Result<Option<UpstreamCheck>, String> {
        let text = format!(
            "[[listener]]\nbind = [\"[::]:443\"]\n[[site]]\nhosts = [\"a.test\"]\ncertificate = \
             \"c\"\nkey = \"k\"\nclient_ca = [\"a.pem\"]\nupstream = \"{upstream}\"\n\
             upstream_check = {check}\n"
        );
        let config = Config::parse(Path::new("aop.toml"), &text);
        config.map(|config| config.live.sites[0].check.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_check_connects_or_requests_a_path() {
        let (bytes, requests) = ("tcp://127.0.0.1:80", "h2c://127.0.0.1:80");
        let path = "\"/up?full=1\"";
        assert_eq!(check(bytes, "true"), Ok(Some(UpstreamCheck::Connects)));
        assert_eq!(check(requests, "true"), Ok(Some(UpstreamCheck::Connects)));
        assert_eq!(check(requests, "false"), Ok(None));
        let answers = UpstreamCheck::Answers("/up?full=1".to_owned());
        assert_eq!(check(requests, path), Ok(Some(answers)));
        assert!(check(bytes, path).expect_err("bytes").contains("aop.toml:9"));
        for wrong in ["1", "\"\"", "\"up\"", "\"/a b\"", "\"/a\\nb\"", "\"/ä\"", "\"/a#b\"", "[]"]
        {
            assert!(check(requests, wrong).expect_err(wrong).contains("upstream_check"), "{wrong}");
        }
    }

    #[test]
    fn the_path_of_a_check_has_at_most_1024_characters() {
        let path = |length: usize| format!("\"/{}\"", "a".repeat(length - 1));
        assert!(check("http://127.0.0.1:80", &path(1024)).is_ok());
        let error = check("http://127.0.0.1:80", &path(1025)).expect_err("refused");
        assert!(error.contains("a path such as \"/healthz\""), "{error}");
    }

    #[test]
    fn an_upstream_of_bytes_is_never_told_to_request_a_path() {
        for path in ["\"/up\"", "\"up\"", "\"\""] {
            let error = check("tcp://127.0.0.1:80", path).expect_err(path);
            assert!(error.contains("write upstream_check = true, which only connects"), "{error}");
        }
    }
}
