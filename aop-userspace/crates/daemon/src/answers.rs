//! Answers requests of the admin API: one arm for each verb.

use std::{error::Error, sync::PoisonError};

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
    fn answer(&self, request: Request, asker: Requester) -> Answer {
        let recorded = request.changes().then(|| request.clone());
        let (answer, refused) = self.carry_out(request);
        if let Some(request) = recorded {
            self.audit.record(asker, request, refused);
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
            Request::Close { network } => of(self.shut(network), Answer::of),
            Request::Mode(said) => of(self.switch(&said), Answer::of),
            Request::Upgrade => of(self.upgrade(), Answer::of),
        }
    }

    fn admitted(&self) -> Admitted {
        let list = self.status().prefixes;
        let (admission, extra) = self.admission();
        let opened = self.openings().networks();
        let prefixes = admitted_prefixes(&admission, &extra, &opened, monotonic_seconds());
        Admitted { list, prefixes }
    }

    /// Every authenticated peer on record, and what admits it.
    fn peers(&self) -> Result<PeersReport, PeersError> {
        let (admission, extra) = self.admission();
        let opened = self.openings().networks();
        let mut judged = AdmissionContext {
            admission: &admission,
            extra: &extra,
            opened: &opened,
            trusting: false,
            now: monotonic_seconds(),
        };
        let Some(firewall) = &self.firewall else {
            let report =
                self.link.as_ref().map(TerminatorHandle::report).transpose()?.unwrap_or_default();
            return Ok(PeersReport::in_memory(report.peers, report.peers_total, &judged));
        };
        let reading =
            firewall.lock().unwrap_or_else(PoisonError::into_inner).read(PeerListing::Peers)?;
        // After an unload there are no maps, and so no record.
        let Some(reading) = reading else { return Ok(PeersReport::default()) };
        judged.trusting = reading.trusting;
        Ok(PeersReport::of(&reading.peers, &self.facts.sites(), &judged))
    }

    /// The admitted prefixes, and those of them that only `firewall.extra` admits.
    fn admission(&self) -> (Admission, Vec<IpNet>) {
        let in_force = self.in_force();
        let listed = &in_force.held.list;
        let extra = in_force.live.extra.iter().filter(|net| !listed.has(net));
        (in_force.admission.clone(), extra.copied().collect())
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
