//! `aop open`: admits a network for a time.

use std::{sync::PoisonError, time::Instant};

use aop_api::{
    OpeningsInForce,
    terminator::{AddressPolicy, Command},
};
use aop_config::ReloadableConfig;
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Daemon, active_policy::ActivePolicy, error::OpenError, openings::Openings, reload::hear,
    terminator_handle::PendingAck,
};

impl Daemon {
    /// Admits `network` for `seconds`.
    pub(super) fn open(&self, network: IpNet, seconds: u64) -> Result<OpeningsInForce, OpenError> {
        let receipt = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let now = (Timestamp::now(), Instant::now());
            let before = self.openings();
            let mut openings = before.with(network, seconds, now).map_err(OpenError::Refused)?;
            // Stored before packets pass, so that every later start knows the expiry.
            openings.keep(&self.fixed.paths.state);
            let receipt = self.admit_openings(&openings, &[]);
            if receipt.is_err() {
                before.clone().keep(&self.fixed.paths.state);
            }
            let receipt = receipt?;
            let lines: Vec<String> = openings.told().iter().map(|it| it.line()).collect();
            tracing::warn!("`aop open`: {}", lines.join("; "));
            self.set_openings(openings);
            receipt
        };
        hear(receipt);
        Ok(self.openings_in_force())
    }

    /// Closes an opening. The list and the configuration may still admit the network.
    pub(super) fn shut(&self, network: IpNet) -> Result<OpeningsInForce, OpenError> {
        let receipt = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let network = network.trunc();
            let receipt = self.end(&[network])?;
            if receipt.is_none() {
                return Err(OpenError::NotOpen(network));
            }
            tracing::warn!("`aop open --close`: the opening for {network} is closed");
            receipt
        };
        hear(receipt.flatten());
        Ok(self.openings_in_force())
    }

    /// Closes the openings that have expired.
    pub(super) fn end_openings(&self) -> Result<(), OpenError> {
        let receipt = {
            let _turn = self.applying();
            self.handover.may_change()?;
            let over = self.openings().over((Timestamp::now(), Instant::now()));
            let receipt = self.end(&over)?;
            for network in over {
                tracing::warn!("the opening for {network} has expired");
            }
            receipt
        };
        hear(receipt.flatten());
        Ok(())
    }

    /// Closes openings for `networks`; `None` where there are none. The caller has the turn.
    fn end(&self, networks: &[IpNet]) -> Result<Option<Option<PendingAck>>, OpenError> {
        let (mut openings, closed) = self.openings().without(networks);
        if closed.is_empty() {
            return Ok(None);
        }
        let receipt = self.admit_openings(&openings, &closed)?;
        openings.keep(&self.fixed.paths.state);
        self.set_openings(openings);
        Ok(Some(receipt))
    }

    fn admit_openings(
        &self,
        openings: &Openings,
        ended: &[IpNet],
    ) -> Result<Option<PendingAck>, OpenError> {
        let (live, held, before, modes) = {
            let in_force = self.in_force();
            if in_force.closed {
                return Err(OpenError::Stopping);
            }
            let ActivePolicy { live, held, admission, .. } = &*in_force;
            (live.clone(), held.clone(), admission.clone(), in_force.modes())
        };
        let prefixes = held.list.with(&beside(&live, openings))?;
        let admission = self.admit(&before, ended, &held, &prefixes, &live, &modes)?;
        let receipt = self.tell(Command::Admit(AddressPolicy::of(&admission, &modes)));
        self.in_force().admission = admission;
        Ok(receipt)
    }

    /// The openings in force.
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

/// The networks that are admitted besides the list: by `firewall.extra` and by openings.
pub(super) fn beside(live: &ReloadableConfig, openings: &Openings) -> Vec<IpNet> {
    live.extra.iter().copied().chain(openings.networks()).collect()
}
