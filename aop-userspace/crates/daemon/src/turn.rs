//! The turn: the right to change what is in force. One change at a time has it.
//!
//! A change takes the turn, makes the next policy from a copy of the one in force, applies it to
//! the firewall (the step that can fail), notifies the terminator, and commits. The terminator's
//! answer is awaited after the commit, when the turn is free again.

use std::{collections::BTreeSet, path::Path};

use aop_api::terminator::Command;
use aop_firewall::{Firewall, FirewallError};
use aop_prefixes::PrefixError;
use ipnet::IpNet;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};

use super::{
    Daemon,
    active_policy::{ActivePolicy, PacketFilter},
    lifecycle::NotNow,
    terminator_handle::PendingAck,
};

/// Holds the policy in force.
pub(crate) struct PolicyStore {
    /// Locked for moments only, so that a status never waits while a long list is applied.
    active: RwLock<ActivePolicy>,
    turn: Mutex<()>,
}

/// The right to change the policy in force, until this is dropped or committed.
#[must_use]
pub(crate) struct Turn<'a> {
    daemon: &'a Daemon,
    pending: Option<PendingAck>,
    _turn: MutexGuard<'a, ()>,
}

/// The treatment of draining predecessors by a commit, which still serve by an earlier policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Predecessors {
    /// They go on.
    Keep,
    /// They must finish: the new policy may trust less.
    Release,
}

/// Why a policy cannot be applied. The one in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The prefixes cannot be used.
    #[error(transparent)]
    Prefixes(#[from] PrefixError),
    /// The firewall refuses.
    #[error("firewall: {0}")]
    Firewall(#[from] FirewallError),
}

impl PolicyStore {
    pub(crate) fn new(policy: ActivePolicy) -> Self {
        Self { active: RwLock::new(policy), turn: Mutex::default() }
    }

    /// The policy in force. Hold the guard for a moment only, and never two at once.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, ActivePolicy> {
        self.active.read()
    }

    /// Waits for the change that is under way, and keeps others from beginning. It is not the right
    /// to change the policy: it is for the lifecycle and for the state files.
    pub(crate) fn exclude_changes(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }
}

impl Daemon {
    /// The turn. Waits for the change that is under way.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, NotNow> {
        let turn = self.policy.exclude_changes();
        self.lifecycle.may_change()?;
        Ok(Turn { daemon: self, pending: None, _turn: turn })
    }
}

impl Turn<'_> {
    /// A copy of the policy in force, for the change.
    pub(crate) fn policy(&self) -> ActivePolicy {
        self.daemon.policy.read().clone()
    }

    /// The directory of the state files.
    pub(crate) fn state(&self) -> &Path {
        &self.daemon.settings.paths.state
    }

    /// Applies `next` to the firewall, and computes what it admits. Prefixes that are only in
    /// `closed` do not drain.
    pub(crate) fn apply(
        &self,
        next: &mut ActivePolicy,
        closed: &[IpNet],
    ) -> Result<(), ApplyError> {
        let prefixes = next.prefixes()?;
        let former = self.daemon.policy.read().live.extra.clone();
        let loaded = |_: &&Mutex<Firewall>| next.packets == PacketFilter::Loaded;
        let Some(firewall) = self.daemon.firewall.as_ref().filter(loaded) else {
            let before = next.admission.without(closed);
            next.admission = next.admission_after(&before, &former, &prefixes);
            return Ok(());
        };
        let (before, idle) = {
            let firewall = firewall.lock();
            (firewall.admission()?, firewall.inactive_set()?)
        };
        next.admission = next.admission_after(&before.without(closed), &former, &prefixes);
        // A long list takes time: status and interface changes do not wait for it.
        idle.fill(&next.admission)?;
        let changed = firewall.lock().change(&next.live.interfaces, &next.for_firewall());
        match changed {
            // The daemon was about to learn of it.
            Err(FirewallError::Unloaded) => next.packets = PacketFilter::Unloaded,
            changed => changed?,
        }
        Ok(())
    }

    /// Queues a request to the terminator, where there is one. It gets changes in the order of the
    /// firewall.
    pub(crate) fn notify(&mut self, command: Command) {
        self.pending = self.daemon.terminator.as_ref().map(|it| it.ask(command, Vec::new()));
    }

    /// Puts `next` in force, and ends the turn. Await the answer that it returns.
    #[must_use]
    pub(crate) fn commit(
        self,
        next: ActivePolicy,
        predecessors: Predecessors,
    ) -> Option<PendingAck> {
        let observing = BTreeSet::from_iter(next.observing());
        let before = BTreeSet::from_iter(self.daemon.policy.read().observing());
        self.daemon.evidence.forget(&(&observing - &before));
        *self.daemon.policy.active.write() = next;
        self.daemon.fleet.report_soon();
        // Last, so that a predecessor that starts to drain after this has been compared with the
        // new policy.
        if predecessors == Predecessors::Release {
            self.daemon.handover.predecessors.drop_all();
        }
        self.pending
    }
}
