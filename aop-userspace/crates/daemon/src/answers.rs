//! Answers requests of the admin API: one arm for each verb.

use std::error::Error;

use aop_api::{
    AdmissionContext, Admitted, OutsideTrust, PeersReport, RefreshOutcome, ReloadOutcome,
    ReloadedBy, Request,
};
use aop_control::{RequestHandler, Requester, Response};
use aop_firewall::PeerListing;
use aop_types::{Admission, monotonic_seconds};
use ipnet::IpNet;

use super::{Daemon, error::PeersError, terminator_handle::TerminatorHandle};

impl RequestHandler for Daemon {
    fn answer(&self, request: Request, requester: Requester) -> Response {
        let recorded = request.changes().then(|| request.clone());
        let (answer, refused) = self.carry_out(request);
        if let Some(request) = recorded {
            self.audit.record(requester, request, refused, None);
        }
        answer
    }
}

impl Daemon {
    /// The answer, and why the request was refused, where it was.
    pub(super) fn carry_out(&self, request: Request) -> (Response, Option<String>) {
        match request {
            Request::Status => (Response::of(&self.status()), None),
            Request::Prefixes => (Response::of(&self.admitted()), None),
            Request::Identities => of(self.marked_identities(), Response::of),
            Request::Peers => of(self.peers(), Response::of),
            Request::Strangers => of(self.strangers(), Response::of),
            Request::RefreshPrefixes { then } => {
                let refreshed = self.refresh(then);
                let refused = refreshed.outcome == RefreshOutcome::Refused;
                (Response::of(&refreshed), refreshed.error.filter(|_| refused))
            }
            Request::Reload => {
                let reloaded = self.reload(ReloadedBy::Command);
                let refused = reloaded.outcome == ReloadOutcome::Refused;
                (Response::of(&reloaded), reloaded.error.filter(|_| refused))
            }
            Request::Confirm => of(self.confirm(), Response::of),
            Request::Open { network, seconds } => of(self.open(network, seconds), Response::of),
            Request::Close { network } => of(self.close_opening(network), Response::of),
            Request::Mode(change) => of(self.set_mode(&change), Response::of),
            Request::Upgrade => of(self.upgrade(), Response::of),
        }
    }

    fn admitted(&self) -> Admitted {
        let list = self.status().prefixes;
        let (admission, extra) = self.admission();
        let opened = self.policy.read().openings.networks();
        let context = AdmissionContext::new(&admission, &extra, &opened, monotonic_seconds());
        Admitted { list, prefixes: context.prefixes() }
    }

    /// Every authenticated peer on record, and what admits it.
    fn peers(&self) -> Result<PeersReport, PeersError> {
        let (admission, extra) = self.admission();
        let opened = self.policy.read().openings.networks();
        let context = AdmissionContext::new(&admission, &extra, &opened, monotonic_seconds());
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
        let trust = match reading.trusting {
            true => OutsideTrust::ForATime,
            false => OutsideTrust::Never,
        };
        let sites = self.policy.read().live.site_names();
        Ok(PeersReport::of(&reading.peers, &sites, &context, trust))
    }

    /// The admitted prefixes, and those of them that only `firewall.extra` admits.
    pub(super) fn admission(&self) -> (Admission, Vec<IpNet>) {
        let policy = self.policy.read();
        let listed = &policy.list.list;
        let extra = policy.live.extra.iter().filter(|net| !listed.has(net));
        (policy.admission.clone(), extra.copied().collect())
    }
}

fn of<T>(
    done: Result<T, impl Error>,
    answer: impl FnOnce(&T) -> Response,
) -> (Response, Option<String>) {
    match done {
        Ok(document) => (answer(&document), None),
        Err(error) => {
            let why = error.to_string();
            (Response::refused(why.clone()), Some(why))
        }
    }
}
