//! What the daemon answers on its control socket: an arm for each verb.

use super::Daemon;
use crate::{
    control::{Admitted, Answer, Answers, Request, admitted_prefixes},
    prefixes::monotonic_seconds,
};

impl Answers for Daemon {
    fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::of(&self.status()),
            Request::Prefixes => Answer::of(&self.admitted()),
            Request::Identities => Answer::of(&self.identities()),
            Request::RefreshPrefixes { then } => Answer::of(&self.refresh(then)),
        }
    }
}

impl Daemon {
    fn admitted(&self) -> Admitted {
        let list = self.status().prefixes;
        let extra: Vec<_> = {
            let in_force = self.in_force();
            let listed = in_force.held.list.prefixes();
            in_force.live.extra.iter().filter(|net| !listed.contains(net)).copied().collect()
        };
        let prefixes = admitted_prefixes(&self.gate.admission(), &extra, monotonic_seconds());
        Admitted { list, prefixes }
    }
}
