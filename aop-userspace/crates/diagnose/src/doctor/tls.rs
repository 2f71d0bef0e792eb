//! The TLS lock: this host attacks each of its own listeners, for each site. No attempt reaches an
//! application: even an accepted one sends only a request for a host that no site has.

mod attacked_listeners;
mod attempts;
mod cross_site_resumption;
mod der;
mod dial;
mod forged_certificates;
mod loopback_opening;
mod uploaded_certificate;

use std::time::{Duration, Instant};

use aop_api::{SiteMode, VisitorError};
use aop_config::{Config, HostPattern, OnRefusal, SiteConfig, Upstream};
use aop_tls::{Site, SiteFiles, Sites};

use self::{
    attacked_listeners::attacked_listeners,
    dial::{Attempt, AttemptAnswer, AttemptOutcome, Target},
    loopback_opening::LoopbackOpening,
};
use super::{
    HostContext,
    finding::{CheckFinding, good, notice, untried, wrong},
};

/// The time limit of all attempts together. It is shorter than the loopback opening.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A request for a host that no site has. aop answers it itself and never relays it.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: aop-doctor.invalid\r\nConnection: close\r\n\r\n";

/// The sites, listeners and deadline of the attempts.
struct Attack<'a> {
    config: &'a Config,
    sites: Vec<AttackedSite<'a>>,
    targets: Vec<Target>,
    end: Instant,
}

/// A site, and a host name that belongs to it.
struct AttackedSite<'a> {
    site: &'a Site,
    host: String,
}

pub(super) fn check(host: &HostContext) -> Vec<CheckFinding> {
    let why = |why: &str| vec![untried("tls", why)];
    let Some(config) = &host.config else { return why("the configuration cannot be read") };
    if config.fixed.listeners.is_empty() {
        return why("aop does not terminate TLS here: no listener is configured");
    }
    let (sites, _) = match Sites::build(&config.live.sites, &SiteFiles::on_disk()) {
        Ok(sites) => sites,
        Err(error) => return why(&format!("the sites cannot be built: {error}")),
    };
    let observing = observing(host, config);
    let mut findings: Vec<CheckFinding> =
        observing.iter().map(|site| lets_everybody_in(site)).collect();
    let attacked = attacked(config, &sites, &observing);
    let mut attack = Attack { config, sites: attacked, targets: Vec::new(), end: Instant::now() };
    if !host.has_daemon() {
        findings.push(untried("tls", "aop does not answer, so its handshakes are not tried"));
        findings.extend(uploaded_certificate::check(host.pair.as_ref(), &attack));
        return findings;
    }
    let (targets, others) = attacked_listeners(host, config);
    findings.extend(others);
    let listeners: Vec<_> = targets.iter().map(|target| target.to).collect();
    match LoopbackOpening::open(host, &listeners) {
        Ok(opening) => {
            attack.targets = targets;
            attack.end = Instant::now() + TIMEOUT;
            findings.extend(attempts::check(&attack));
            findings.extend(uploaded_certificate::check(host.pair.as_ref(), &attack));
            let left = opening.close();
            if !left.is_empty() {
                let said = "the opening for the attempts could not be closed";
                findings.push(left.into_iter().fold(notice("opening", said), CheckFinding::seen));
            }
        }
        Err(error) => {
            let said = format!("the address lock could not be opened for this host: {error}");
            findings.push(untried("tls", said));
            findings.extend(uploaded_certificate::check(host.pair.as_ref(), &attack));
        }
    }
    findings
}

/// The sites in observe mode, according to the daemon or else to the configuration.
fn observing(host: &HostContext, config: &Config) -> Vec<String> {
    let said: &[SiteMode] = &host.status.modes.sites;
    let observes = |site: &&SiteConfig| match said.iter().find(|said| said.site == site.name) {
        Some(said) => said.mode == aop_api::ModeName::Observe,
        None => site.on_refusal == OnRefusal::Observe,
    };
    config.live.sites.iter().filter(observes).map(|site| site.name.clone()).collect()
}

fn lets_everybody_in(site: &str) -> CheckFinding {
    notice("site_observes", "the site does not check certificates yet: everybody is let in")
        .about(site)
        .cure(format!(
            "when `aop identities` shows the edge's certificate: `aop mode enforce --site {site} \
             --confirm 5m`, test, then `aop confirm`"
        ))
}

/// The sites that enforce, each with a host name for the attempts.
fn attacked<'a>(config: &Config, sites: &'a Sites, observing: &[String]) -> Vec<AttackedSite<'a>> {
    let locked = |site: &&SiteConfig| !observing.contains(&site.name);
    let found = config.live.sites.iter().filter(locked).filter_map(|site| {
        let host = match site.hosts.first()? {
            HostPattern::Exact(host) => host.to_string(),
            HostPattern::Below(parent) => format!("aop-doctor.{parent}"),
        };
        let site = sites.find(&host.parse().ok()?)?;
        Some(AttackedSite { site, host })
    });
    found.collect()
}

impl Attack<'_> {
    /// Makes an attempt, unless the deadline of all attempts has passed.
    fn attempt(&self, target: Target, how: &Attempt<'_>) -> AttemptOutcome {
        if self.is_over() {
            return AttemptOutcome { answer: too_late(), resumed: false };
        }
        dial::attempt(target, how)
    }

    /// Makes an attempt in clear text, with the same limit.
    fn in_clear(&self, target: Target) -> AttemptAnswer {
        if self.is_over() { too_late() } else { dial::in_clear(target, REQUEST) }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

fn too_late() -> AttemptAnswer {
    AttemptAnswer::Unreachable("no time was left".into())
}

impl AttackedSite<'_> {
    /// The request to send after an accepted handshake. `None` if the site relays raw bytes, which
    /// would reach the application.
    fn request(&self) -> Option<&'static [u8]> {
        match self.site.upstream() {
            Upstream::Http(_) => Some(REQUEST),
            Upstream::Bytes(_) => None,
        }
    }
}

/// The finding about attempts of one kind, each of which must be refused.
fn to_be_refused(name: &str, what: &str, tried: &[(String, AttemptAnswer)]) -> CheckFinding {
    let told = |finding: CheckFinding, (at, answer): &(String, AttemptAnswer)| match answer {
        AttemptAnswer::Refused(how) => finding.seen(format!("{at}: {how}")),
        AttemptAnswer::LetIn(how) => finding.seen(format!("{at}: let in ({how})")),
        AttemptAnswer::ClosedBeforeTls => finding.seen(format!("{at}: closed before TLS")),
        AttemptAnswer::Unreachable(why) => finding.seen(format!("{at}: not tried, {why}")),
    };
    let any = |is: fn(&AttemptAnswer) -> bool| tried.iter().any(|(_, answer)| is(answer));
    let is_refused: fn(&AttemptAnswer) -> bool =
        |answer| matches!(answer, AttemptAnswer::Refused(_));
    let finding = if any(|answer| matches!(answer, AttemptAnswer::LetIn(_))) {
        wrong(
            name,
            format!("{what} is let in"),
            VisitorError::Nothing,
            "check the site's client_ca and on_refusal; if they are right, this is a fault of aop: \
             please report it",
        )
    } else if !tried.is_empty() && tried.iter().all(|(_, answer)| is_refused(answer)) {
        good(name, format!("{what} is refused"))
    } else if any(is_refused) {
        untried(name, format!("{what} is refused, but could not be tried everywhere"))
    } else {
        untried(name, format!("{what} could not be tried"))
    };
    tried.iter().fold(finding, told)
}

#[cfg(test)]
mod tests {
    use aop_api::FindingOutcome as Outcome;

    use super::*;

    #[test]
    fn one_accepted_attempt_is_wrong_and_only_refusals_everywhere_are_good() {
        let refused = || AttemptAnswer::Refused("alert".into());
        let nobody = || AttemptAnswer::Unreachable("no answer".into());
        let found = |answers: Vec<AttemptAnswer>| {
            let tried: Vec<_> = answers.into_iter().map(|it| (String::new(), it)).collect();
            to_be_refused("name", "a stranger", &tried).outcome
        };
        assert_eq!(found(vec![refused(), refused()]), Outcome::Good);
        assert_eq!(found(vec![refused(), nobody()]), Outcome::Untried);
        assert_eq!(found(vec![refused(), AttemptAnswer::ClosedBeforeTls]), Outcome::Untried);
        assert_eq!(
            found(vec![nobody(), refused(), AttemptAnswer::LetIn("200".into())]),
            Outcome::Wrong
        );
        assert_eq!(found(Vec::new()), Outcome::Untried);
    }
}
