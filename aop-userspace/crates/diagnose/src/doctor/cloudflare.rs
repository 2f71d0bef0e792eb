//! Findings about the own certificates at Cloudflare, from the status.

use aop_api::{OwnCertificate, VisitorError, moment_text};
use jiff::Timestamp;

use super::{
    HostContext,
    finding::{CheckFinding, good, notice, wrong},
};

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let now = Timestamp::now();
    host.status.cloudflare.iter().map(|own| finding(own, now)).collect()
}

fn finding(own: &OwnCertificate, now: Timestamp) -> CheckFinding {
    const NAME: &str = "own_certificate";
    let OwnCertificate { site, ends, step, waits_for, last_error, failed_at, .. } = own;
    let left = ends.map_or("its expiry is not known".to_owned(), |ends| {
        format!("it ends {}", moment_text(ends, now))
    });
    let roll = step.as_ref().map(|step| {
        let event = waits_for.as_deref().unwrap_or("nothing");
        format!("a roll is in progress: {step}, and waits for {event}")
    });
    let failure = last_error.as_ref().map(|error| {
        let at = failed_at.map_or(String::new(), |at| format!(" {}", moment_text(at, now)));
        format!("the last attempt failed{at}: {error}")
    });
    let told = |finding: CheckFinding| {
        finding.about(site).seen(&left).seen_all(roll.clone()).seen_all(failure.clone())
    };
    let cure = "correct the reason, then renew it now; `aop cloudflare status` shows both sides";
    if own.critical(now).is_some() {
        let said = "the certificate at Cloudflare ends within ten days or has ended, and is not \
                    replaced";
        told(wrong(NAME, said, VisitorError::Tls, cure)).commands("aop cloudflare renew")
    } else if last_error.is_some() {
        told(notice(NAME, "the renewal of the certificate at Cloudflare fails").cure(cure))
            .commands("aop cloudflare renew")
    } else if roll.is_some() {
        told(notice(NAME, "the certificate at Cloudflare is being replaced"))
    } else {
        told(good(NAME, "the certificate at Cloudflare is in time"))
    }
}

#[cfg(test)]
mod tests {
    use aop_api::{FindingGroup, FindingOutcome, PresentedLevel, timestamp};

    use super::*;

    #[test]
    fn the_days_that_are_left_and_the_last_failure_decide() {
        let now = timestamp(100 * 86_400);
        let found = |days: u64, error: Option<&str>, step: Option<&str>| {
            let own = OwnCertificate {
                site: "example.com".into(),
                level: Some(PresentedLevel::Zone),
                ends: Some(timestamp((100 + days) * 86_400)),
                days_left: None,
                step: step.map(str::to_owned),
                waits_for: step.map(|_| "a pull with it".to_owned()),
                last_error: error.map(str::to_owned),
                failed_at: error.map(|_| timestamp(99 * 86_400)),
                failing_since: None,
            };
            finding(&own, now).in_group(FindingGroup::Tls)
        };
        let fine = found(30, None, None);
        assert_eq!(fine.result, FindingOutcome::Good);
        assert_eq!(fine.evidence, ["it ends in 30 d 0 h (1970-05-11 00:00 UTC)"]);
        let rolls = found(30, None, Some("switched_on"));
        assert_eq!(rolls.result, FindingOutcome::Told);
        assert!(rolls.evidence[1].ends_with("switched_on, and waits for a pull with it"));
        let fails = found(30, Some("no token"), None);
        assert_eq!(fails.result, FindingOutcome::Told);
        assert_eq!(fails.commands, ["aop cloudflare renew"]);
        let said = "the last attempt failed 1 d 0 h ago (1970-04-10 00:00 UTC): no token";
        assert_eq!(fails.evidence[1], said);
        for days in [0, 9] {
            let over = found(days, Some("no token"), None);
            assert_eq!(over.result, FindingOutcome::Wrong, "{days}");
        }
    }
}
