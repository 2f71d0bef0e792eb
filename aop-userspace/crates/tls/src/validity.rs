//! The validity dates of our own files: rustls accepts an expired client CA, and no peer reports
//! that our server certificate has expired.

use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, time::ASN1Time};

pub(crate) const DAY: u64 = 24 * 3600;

/// A period of validity, in seconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Validity {
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

impl Validity {
    /// The warning about these dates at `now`, if one is due, to follow a file name. It begins
    /// `ahead` seconds before expiry; `consequence` is that of expiry.
    pub(crate) fn warning(
        &self,
        now: u64,
        ahead: u64,
        consequence: &str,
        remedy: &str,
    ) -> Option<String> {
        if now > self.not_after {
            return Some(format!(
                "expired on {}: {consequence}; {remedy}",
                rfc3339(self.not_after)
            ));
        }
        if now < self.not_before {
            let from = rfc3339(self.not_before);
            return Some(format!("is not valid before {from}; check this machine's clock"));
        }
        let left = self.not_after - now;
        (left <= ahead).then(|| {
            let until = rfc3339(self.not_after);
            format!(
                "expires in {} days, on {until}: after that {consequence}; {remedy}",
                left / DAY
            )
        })
    }
}

impl From<&X509Certificate<'_>> for Validity {
    fn from(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) }
    }
}

/// Seconds since 1970; 0 for an earlier time.
pub(crate) fn seconds(time: ASN1Time) -> u64 {
    time.timestamp().try_into().unwrap_or(0)
}

pub(crate) fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_warned_of_when_expired_not_yet_valid_or_near_expiry() {
        let validity = Validity { not_before: 100 * DAY, not_after: 200 * DAY };
        let warning = |now| validity.warning(now, 30 * DAY, "peers are refused", "replace it");
        assert_eq!(warning(100 * DAY), None);
        assert_eq!(warning(169 * DAY), None);
        let says = |now, text: &str| {
            let warning = warning(now);
            assert!(warning.as_deref().is_some_and(|it| it.contains(text)), "{warning:?}");
        };
        says(170 * DAY, "expires in 30 days");
        says(200 * DAY, "expires in 0 days, on 1970-07-20T00:00:00Z: after that peers are refused");
        says(200 * DAY + 1, "expired on 1970-07-20T00:00:00Z: peers are refused; replace it");
        says(99 * DAY, "not valid before 1970-04-11");
    }
}
