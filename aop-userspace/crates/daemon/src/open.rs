//! `aop open`: a network is admitted for a time.

use std::{sync::PoisonError, time::Instant};

use aop_api::{
    OpeningsInForce,
    terminator::{AddressRules, Ask},
};
use aop_config::Live;
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Daemon, error::OpenError, in_force::InForce, link::Receipt, openings::Openings, reload::hear,
};

impl Daemon {
    /// Admits `network` for so long.
    pub(super) fn open(&self, network: IpNet, seconds: u64) -> Result<OpeningsInForce, OpenError> {
        let told = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let now = (Timestamp::now(), Instant::now());
            let before = self.openings();
            let mut openings = before.with(network, seconds, now).map_err(OpenError::Refused)?;
            // Before packets pass, so that every start knows that it has an end.
            openings.keep(&self.fixed.paths.state);
            let told = self.admit_openings(&openings, &[]);
            if told.is_err() {
                before.clone().keep(&self.fixed.paths.state);
            }
            let told = told?;
            let lines: Vec<String> = openings.told().iter().map(|it| it.line()).collect();
            tracing::warn!("`aop open`: {}", lines.join("; "));
            self.set_openings(openings);
            told
        };
        hear(told);
        Ok(self.openings_in_force())
    }

    /// Admits `network` no more, beside the list and the configuration.
    pub(super) fn shut(&self, network: IpNet) -> Result<OpeningsInForce, OpenError> {
        let told = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let network = network.trunc();
            let told = self.end(&[network])?;
            if told.is_none() {
                return Err(OpenError::NotOpen(network));
            }
            tracing::warn!("`aop open --close`: {network} is admitted by it no more");
            told
        };
        hear(told.flatten());
        Ok(self.openings_in_force())
    }

    /// Ends what has come to its end.
    pub(super) fn end_openings(&self) -> Result<(), OpenError> {
        let told = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let over = self.openings().over((Timestamp::now(), Instant::now()));
            let told = self.end(&over)?;
            for network in over {
                tracing::warn!("what `aop open` has opened to {network} has come to its end");
            }
            told
        };
        hear(told.flatten());
        Ok(())
    }

    /// `None` where none of these is open. The caller has the turn to apply.
    fn end(&self, networks: &[IpNet]) -> Result<Option<Option<Receipt>>, OpenError> {
        let (mut openings, closed) = self.openings().without(networks);
        if closed.is_empty() {
            return Ok(None);
        }
        let told = self.admit_openings(&openings, &closed)?;
        openings.keep(&self.fixed.paths.state);
        self.set_openings(openings);
        Ok(Some(told))
    }

    fn admit_openings(
        &self,
        openings: &Openings,
        ended: &[IpNet],
    ) -> Result<Option<Receipt>, OpenError> {
        let (live, held, before, modes) = {
            let in_force = self.in_force();
            if in_force.closed {
                return Err(OpenError::Stopping);
            }
            let InForce { live, held, admission, .. } = &*in_force;
            (live.clone(), held.clone(), admission.clone(), in_force.modes())
        };
        let prefixes = held.list.with(&beside(&live, openings))?;
        let admission = self.admit(&before, ended, &held, &prefixes, &live, &modes)?;
        let told = self.tell(Ask::Admit(AddressRules::of(&admission, &modes)));
        self.in_force().admission = admission;
        Ok(told)
    }

    /// What is open.
    pub(super) fn openings(&self) -> Openings {
        self.openings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_openings(&self, openings: Openings) {
        *self.openings.lock().unwrap_or_else(PoisonError::into_inner) = openings;
    }

    fn openings_in_force(&self) -> OpeningsInForce {
        let openings = self.openings();
        OpeningsInForce { openings: openings.told(), not_kept: openings.trouble }
    }
}

/// Who is admitted beside the list: by the configuration, and for a time.
pub(super) fn beside(live: &Live, openings: &Openings) -> Vec<IpNet> {
    live.extra.iter().copied().chain(openings.networks()).collect()
}
