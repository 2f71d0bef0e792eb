//! `aop open`: admits a network for a time.

use std::time::Instant;

use aop_api::{OpeningsInForce, terminator::Command};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Daemon,
    error::OpenError,
    reload::await_ack,
    terminator_handle::PendingAck,
    turn::{Predecessors, Turn},
};

impl Daemon {
    /// Admits `network` for `seconds`.
    pub(super) fn open(&self, network: IpNet, seconds: u64) -> Result<OpeningsInForce, OpenError> {
        let mut turn = self.turn()?;
        let mut next = turn.policy();
        let mut before = next.openings.clone();
        let now = (Timestamp::now(), Instant::now());
        next.openings = before.with(network, seconds, now).map_err(OpenError::Refused)?;
        // Stored before packets pass, so that every later start knows the expiry.
        let state = &self.settings.paths.state;
        next.openings.store(state);
        turn.apply(&mut next, &[]).inspect_err(|_| before.store(state))?;
        turn.notify(Command::Admit(next.for_terminator()));
        let lines: Vec<String> = next.openings.entries().iter().map(|it| it.line()).collect();
        tracing::warn!("`aop open`: {}", lines.join("; "));
        await_ack(turn.commit(next, Predecessors::Keep));
        Ok(self.openings_in_force())
    }

    /// Closes an opening. The list and the configuration may still admit the network.
    pub(super) fn close_opening(&self, network: IpNet) -> Result<OpeningsInForce, OpenError> {
        let (turn, network) = (self.turn()?, network.trunc());
        if !self.policy.read().openings.networks().contains(&network) {
            return Err(OpenError::NotOpen(network));
        }
        let ack = turn.close_openings(&[network])?;
        tracing::warn!("`aop open --close`: the opening for {network} is closed");
        await_ack(ack);
        Ok(self.openings_in_force())
    }

    /// Closes the openings that have expired, unless nothing may change now.
    pub(super) fn close_expired_openings(&self) -> Result<(), OpenError> {
        let expired = || self.policy.read().openings.expired((Timestamp::now(), Instant::now()));
        if expired().is_empty() {
            return Ok(());
        }
        let Ok(turn) = self.turn() else { return Ok(()) };
        let networks = expired();
        if networks.is_empty() {
            return Ok(());
        }
        let ack = turn.close_openings(&networks)?;
        for network in networks {
            tracing::warn!("the opening for {network} has expired");
        }
        await_ack(ack);
        Ok(())
    }

    fn openings_in_force(&self) -> OpeningsInForce {
        let openings = self.policy.read().openings.clone();
        OpeningsInForce { openings: openings.entries(), not_kept: openings.trouble }
    }
}

impl Turn<'_> {
    /// Closes the openings of `networks`, of which there is at least one.
    fn close_openings(mut self, networks: &[IpNet]) -> Result<Option<PendingAck>, OpenError> {
        let mut next = self.policy();
        next.openings = next.openings.without(networks);
        self.apply(&mut next, networks)?;
        next.openings.store(self.state());
        self.notify(Command::Admit(next.for_terminator()));
        Ok(self.commit(next, Predecessors::Keep))
    }
}
