//! Answers requests of the admin API: one arm for each verb.

use std::error::Error;

use aop_api::{
    AdmissionContext, Admitted, Outcome, PeersReport, ReloadOutcome, ReloadedBy, Request,
    admitted_prefixes,
};
use aop_control::{Answer, RequestHandler, Requester};
use aop_firewall::PeerListing;
use aop_types::{Admission, monotonic_seconds};
use ipnet::IpNet;

use super::{Daemon, error::PeersError, terminator_handle::TerminatorHandle};

impl RequestHandler for Daemon {
    fn answer(&self, request: Request, requester: Requester) -> Answer {
        let recorded = request.changes().then(|| request.clone());
        let (answer, refused) = self.carry_out(request);
        if let Some(request) = recorded {
            self.audit.record(requester, request, refused);
        }
        answer
    }
}

impl Daemon {
    /// The answer, and why the request was refused, where it was.
    fn carry_out(&self, request: Request) -> (Answer, Option<String>) {
        match request {
            Request::Status => (Answer::of(&self.status()), None),
            Request::Prefixes => (Answer::of(&self.admitted()), None),
            Request::Identities => of(self.identities(), Answer::of),
            Request::Peers => of(self.peers(), Answer::of),
            Request::RefreshPrefixes { then } => {
                let refreshed = self.refresh(then);
                let refused = refreshed.outcome == Outcome::Refused;
                (Answer::of(&refreshed), refreshed.error.filter(|_| refused))
            }
            Request::Reload => {
                let reloaded = self.reload(ReloadedBy::Command);
                let refused = reloaded.outcome == ReloadOutcome::Refused;
                (Answer::of(&reloaded), reloaded.error.filter(|_| refused))
            }
            Request::Confirm => of(self.confirm(), Answer::of),
            Request::Open { network, seconds } => of(self.open(network, seconds), Answer::of),
            Request::Close { network } => of(self.close_opening(network), Answer::of),
            Request::Mode(change) => of(self.set_mode(&change), Answer::of),
            Request::Upgrade => of(self.upgrade(), Answer::of),
        }
    }

    fn admitted(&self) -> Admitted {
        let list = self.status().prefixes;
        let (admission, extra) = self.admission();
        let opened = self.policy.read().openings.networks();
        let prefixes = admitted_prefixes(&admission, &extra, &opened, monotonic_seconds());
        Admitted { list, prefixes }
    }

    /// Every authenticated peer on record, and what admits it.
    fn peers(&self) -> Result<PeersReport, PeersError> {
        let (admission, extra) = self.admission();
        let opened = self.policy.read().openings.networks();
        let mut context = AdmissionContext {
            admission: &admission,
            extra: &extra,
            opened: &opened,
            trusting: false,
            now: monotonic_seconds(),
        };
        let Some(firewall) = self.firewall() else {
            let report = self
                .terminator
                .as_ref()
                .map(TerminatorHandle::report)
                .transpose()?
                .unwrap_or_default();
            return Ok(PeersReport::in_memory(report.peers, report.peers_total, &context));
        };
        let reading = firewall.read(PeerListing::Peers)?;
        drop(firewall);
        // After an unload there are no maps, and so no record.
        let Some(reading) = reading else { return Ok(PeersReport::default()) };
        context.trusting = reading.trusting;
        Ok(PeersReport::of(&reading.peers, &self.policy.read().live.site_names(), &context))
    }

    /// The admitted prefixes, and those of them that only `firewall.extra` admits.
    fn admission(&self) -> (Admission, Vec<IpNet>) {
        let policy = self.policy.read();
        let listed = &policy.list.list;
        let extra = policy.live.extra.iter().filter(|net| !listed.has(net));
        (policy.admission.clone(), extra.copied().collect())
    }
}

fn of<T>(
    done: Result<T, impl Error>,
    answer: impl FnOnce(&T) -> Answer,
) -> (Answer, Option<String>) {
    match done {
        Ok(document) => (answer(&document), None),
        Err(error) => {
            let why = error.to_string();
            (Answer::refused(why.clone()), Some(why))
        }
    }
}
