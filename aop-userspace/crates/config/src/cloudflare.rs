//! Cloudflare's API: `[cloudflare]`. Only the verbs of `aop cloudflare` read these settings.

use std::{ops::Deref, path::PathBuf, str::FromStr, time::Duration};

use toml::Spanned;

use crate::{ConfigError, SecureUrl, parse::SourceFile, toml_schema::RawCloudflare};

/// The API (<https://developers.cloudflare.com/api/>).
const CLOUDFLARE_API: &str = "https://api.cloudflare.com/client/v4";

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A status is critical from ten days before the expiry on: a renewal needs a day before that.
const LEAST_RENEW: u32 = 11;
/// A leaf lives for 90 days.
const MOST_RENEW: u32 = 89;

/// The access to Cloudflare's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudflareConfig {
    /// The file with the API token, if configured.
    pub token_file: Option<PathBuf>,
    /// The API.
    pub api: ApiUrl,
    /// How long before its expiry an own certificate is replaced; `None` means never by itself.
    pub renew: Option<Duration>,
    /// The client CA that signs certificates for Cloudflare.
    pub ca: PathBuf,
    /// Its key; it may be on another host.
    pub ca_key: PathBuf,
}

/// The base of the API's URLs, without a slash at its end. An attacker on the network path could
/// take the token otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(SecureUrl);

impl Default for ApiUrl {
    fn default() -> Self {
        Self(SecureUrl::known(CLOUDFLARE_API))
    }
}

impl Deref for ApiUrl {
    type Target = SecureUrl;

    fn deref(&self) -> &SecureUrl {
        &self.0
    }
}

impl FromStr for ApiUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = SecureUrl::parse(text, "the API", "take the token")?;
        if text.contains('?') {
            return Err(format!("{text:?}: the URL of the API has no query; remove the `?`"));
        }
        Ok(Self(url.without_slash()))
    }
}

pub(crate) fn read(
    raw: &RawCloudflare,
    src: &SourceFile<'_>,
) -> Result<CloudflareConfig, ConfigError> {
    // As `aop ca create` names them.
    let ca = src.path(raw.ca.as_deref().unwrap_or("pull-ca.pem"));
    let ca_key = raw.ca_key.as_deref().map(|path| src.path(path));
    Ok(CloudflareConfig {
        ca_key: ca_key.unwrap_or_else(|| ca.with_extension("key")),
        ca,
        token_file: raw.token_file.as_deref().map(|path| src.path(path)),
        api: raw.api.as_ref().map_or(Ok(ApiUrl::default()), |url| src.parse(url))?,
        renew: raw.renew.as_ref().map(|text| renew(text, src)).transpose()?,
    })
}

/// A number of days: the certificates live for months.
fn renew(text: &Spanned<String>, src: &SourceFile<'_>) -> Result<Duration, ConfigError> {
    let days = text.get_ref().strip_suffix('d').and_then(|days| days.parse().ok());
    let why = match days {
        Some(days @ LEAST_RENEW..=MOST_RENEW) => return Ok(DAY * days),
        Some(..LEAST_RENEW) => {
            "; a certificate that ends within ten days is critical, so a renewal must begin before"
        }
        Some(_) => {
            "; a leaf of aop lives for 90 days, so each renewal would be followed by the next one"
        }
        None => ", a number of days such as 30d",
    };
    let message = format!(
        "{:?}: cloudflare.renew must be {LEAST_RENEW}d to {MOST_RENEW}d{why}",
        text.get_ref()
    );
    Err(src.error(text.span(), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CloudflareConfig,
        tests::{LISTENER, SITE, read},
    };

    fn cloudflare(lines: &str) -> Result<CloudflareConfig, String> {
        let config = read(&format!("{LISTENER}{SITE}[cloudflare]\n{lines}\n"))?;
        Ok(config.cloudflare)
    }

    #[test]
    fn without_a_setting_the_api_is_that_of_cloudflare() {
        let settings = cloudflare("").expect("a configuration");
        assert_eq!(settings.api.to_string(), "https://api.cloudflare.com/client/v4");
        assert!(!settings.api.is_plain());
        assert_eq!((settings.token_file, settings.renew), (None, None));
        assert_eq!(read(&format!("{LISTENER}{SITE}")).expect("it").cloudflare.api, settings.api);
    }

    #[test]
    fn the_token_goes_over_tls_or_over_the_loopback() {
        for (text, url) in [
            ("http://127.0.0.1:8080/client/v4/", "http://127.0.0.1:8080/client/v4"),
            ("https://api.example/v4", "https://api.example/v4"),
        ] {
            let settings = cloudflare(&format!("api = {text:?}")).expect(text);
            assert_eq!(settings.api.as_str(), url);
            assert_eq!(settings.api.is_plain(), text.starts_with("http:"));
        }
        for (text, mistake) in [
            ("http://api.example/v4", "could take the token. Use https://"),
            ("http://127.0.0.1.example/", "could take the token"),
            ("https://user@api.example/", "the URL of the API has no user"),
            ("https://api.example/?x=1", "has no query"),
            ("api.example", "is not a URL"),
        ] {
            let error = cloudflare(&format!("api = {text:?}")).expect_err(text);
            assert!(error.contains(mistake) && error.contains(&format!("{text:?}")), "{error}");
            assert!(error.starts_with("aop.toml:10: "), "{error}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_some_days_before_its_expiry() {
        let renew = |text: &str| cloudflare(&format!("renew = {text:?}"));
        for days in [11, 30, 89] {
            assert_eq!(renew(&format!("{days}d")).expect("it").renew, Some(DAY * days));
        }
        for (text, why) in [
            ("0d", "critical"),
            ("10d", "critical"),
            ("90d", "lives for 90 days"),
            ("4294967295d", "lives for 90 days"),
            ("", "such as 30d"),
            ("d", "such as 30d"),
            ("-1d", "such as 30d"),
            ("30", "such as 30d"),
            ("720h", "such as 30d"),
            ("30.5d", "such as 30d"),
        ] {
            let error = renew(text).expect_err(text);
            assert!(error.starts_with("aop.toml:10: "), "{error}");
            assert!(error.contains("must be 11d to 89d") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_file_of_the_token_is_relative_to_the_configuration() {
        let settings = cloudflare("token_file = \"token\"").expect("a configuration");
        assert_eq!(settings.token_file, Some(PathBuf::from("token")));
        assert_eq!(settings.ca, PathBuf::from("pull-ca.pem"));
        let settings = cloudflare("ca = \"keys/mine.pem\"").expect("a configuration");
        assert_eq!(settings.ca_key, PathBuf::from("keys/mine.key"));
        let error = cloudflare("token = \"secret\"").expect_err("a secret in the file");
        assert!(error.contains("unknown key `token`"), "{error}");
    }
}
