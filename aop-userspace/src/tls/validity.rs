//! What the dates of our own files say: rustls accepts an expired client CA, and no peer tells us
//! that our server certificate has run out.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;

const DAY: u64 = 24 * 3600;
const SOON: u64 = 30 * DAY;

/// When a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

impl Validity {
    /// What an operator should know about these dates at the time `now`, to stand behind a file's
    /// name.
    pub(super) fn remark(&self, now: u64) -> Option<String> {
        if now > self.not_after {
            return Some(format!("expired on {}; replace it", date(self.not_after)));
        }
        if now < self.not_before {
            let from = date(self.not_before);
            return Some(format!("is not valid before {from}; is this machine's clock right?"));
        }
        let left = self.not_after - now;
        (left <= SOON).then(|| {
            let until = date(self.not_after);
            format!("expires in {} days, on {until}; replace it before that", left / DAY)
        })
    }
}

impl From<&X509Certificate<'_>> for Validity {
    fn from(certificate: &X509Certificate<'_>) -> Self {
        let seconds = |time: x509_parser::time::ASN1Time| time.timestamp().try_into().unwrap_or(0);
        let validity = certificate.validity();
        Self { not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) }
    }
}

/// Now, in seconds since 1970.
pub(super) fn now() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or(0)
}

fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_remarked_upon_when_wrong_or_within_thirty_days() {
        let validity = Validity { not_before: 100 * DAY, not_after: 200 * DAY };
        assert_eq!(validity.remark(100 * DAY), None);
        assert_eq!(validity.remark(169 * DAY), None);
        let says = |now, text: &str| {
            let remark = validity.remark(now);
            assert!(remark.as_deref().is_some_and(|r| r.contains(text)), "{remark:?}");
        };
        says(170 * DAY, "expires in 30 days");
        says(200 * DAY, "expires in 0 days, on 1970-07-20T00:00:00Z");
        says(200 * DAY + 1, "expired on 1970-07-20");
        says(99 * DAY, "not valid before 1970-04-11");
    }
}
