//! What the dates of our own files say: rustls accepts an expired client CA, and no peer tells us
//! that our server certificate has run out.

use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, time::ASN1Time};

pub(super) const DAY: u64 = 24 * 3600;

/// When something is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

impl Validity {
    /// What an operator should know about these dates at the time `now`, to stand behind a name:
    /// from `ahead` seconds before the end, with what follows `after` it, and how to `mend` it.
    pub(super) fn remark(&self, now: u64, ahead: u64, after: &str, mend: &str) -> Option<String> {
        if now > self.not_after {
            return Some(format!("expired on {}: {after}; {mend}", date(self.not_after)));
        }
        if now < self.not_before {
            let from = date(self.not_before);
            return Some(format!("is not valid before {from}; is this machine's clock right?"));
        }
        let left = self.not_after - now;
        (left <= ahead).then(|| {
            let until = date(self.not_after);
            format!("expires in {} days, on {until}: after that {after}; {mend}", left / DAY)
        })
    }
}

impl From<&X509Certificate<'_>> for Validity {
    fn from(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { not_before: seconds(validity.not_before), not_after: seconds(validity.not_after) }
    }
}

/// Seconds since 1970; what was before is the beginning.
pub(super) fn seconds(time: ASN1Time) -> u64 {
    time.timestamp().try_into().unwrap_or(0)
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or(0)
}

pub(super) fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_remarked_upon_when_wrong_or_soon() {
        let validity = Validity { not_before: 100 * DAY, not_after: 200 * DAY };
        let remark = |now| validity.remark(now, 30 * DAY, "nobody comes", "replace it");
        assert_eq!(remark(100 * DAY), None);
        assert_eq!(remark(169 * DAY), None);
        let says = |now, text: &str| {
            let remark = remark(now);
            assert!(remark.as_deref().is_some_and(|r| r.contains(text)), "{remark:?}");
        };
        says(170 * DAY, "expires in 30 days");
        says(200 * DAY, "expires in 0 days, on 1970-07-20T00:00:00Z: after that nobody comes");
        says(200 * DAY + 1, "expired on 1970-07-20T00:00:00Z: nobody comes; replace it");
        says(99 * DAY, "not valid before 1970-04-11");
    }
}
