//! What the daemon answers on its control socket: an arm for each verb.

use super::Daemon;
use crate::{
    control::{Admitted, Answer, Answers, ReloadedBy, Request, admitted_prefixes},
    prefixes::monotonic_seconds,
};

impl Answers for Daemon {
    fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::of(&self.status()),
            Request::Prefixes => Answer::of(&self.admitted()),
            Request::Identities => match self.identities() {
                Ok(identities) => Answer::of(&identities),
                Err(error) => Answer::refused(error.to_string()),
            },
            Request::RefreshPrefixes { then } => Answer::of(&self.refresh(then)),
            Request::Reload => Answer::of(&self.reload(ReloadedBy::Command)),
            Request::Mode(said) => match self.switch(&said) {
                Ok(in_force) => Answer::of(&in_force),
                Err(error) => Answer::refused(error.to_string()),
            },
            Request::Upgrade => match self.upgrade() {
                Ok(upgraded) => Answer::of(&upgraded),
                Err(error) => Answer::refused(error.to_string()),
            },
        }
    }
}

impl Daemon {
    fn admitted(&self) -> Admitted {
        let list = self.status().prefixes;
        let in_force = self.in_force();
        let listed = &in_force.held.list;
        let extra = in_force.live.extra.iter().filter(|net| !listed.has(net));
        let extra: Vec<_> = extra.copied().collect();
        let admission = in_force.admission.clone();
        drop(in_force);
        let prefixes = admitted_prefixes(&admission, &extra, monotonic_seconds());
        Admitted { list, prefixes }
    }
}
