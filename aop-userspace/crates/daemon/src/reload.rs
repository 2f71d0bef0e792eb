//! Reloads: a new configuration replaces the old one completely, or not at all.

use std::{
    collections::BTreeMap,
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aop_api::terminator::Command;
use aop_config::{SiteConfig, StartupConfig};
use aop_tls::{FileWarnings, SiteFiles, Sites};

use super::{
    CheckedConfig, Daemon, DaemonError, active_policy::PacketFilter, admitted_extra, prepare,
    prepare::pack, refresh::RefreshState, reload_queue::LoadedSummary, status,
    terminator_handle::PendingAck, turn::Predecessors,
};

/// How long the terminator may take for a step that cannot fail.
const PATIENCE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Puts the configuration in `file` in force. The caller has the turn to reload.
    pub(super) fn try_reload(&self, file: &Path) -> Result<LoadedSummary, DaemonError> {
        self.lifecycle.may_load()?;
        let checked = prepare(file)?;
        let keys = differing(&self.settings, &checked.config.fixed);
        if !keys.is_empty() {
            return Err(DaemonError::NeedsRestart { file: file.into(), keys });
        }
        checked.warn();
        let mut summary = LoadedSummary {
            sites: checked.config.live.sites.len(),
            files: checked.bundle.file_count(),
            warnings: checked.all_warnings(),
        };
        let CheckedConfig { config, found, bundle, source, warnings, file_warnings, .. } = checked;
        // Steps that can fail come first: the terminator, then the firewall.
        if let Some(terminator) = &self.terminator {
            terminator.prepare(bundle)?;
        }
        let mut turn = self.turn()?;
        self.lifecycle.may_load()?;
        let mut next = turn.policy();
        let keeps_list = next.keeps_list(&config.live);
        let pins = &config.fixed.paths.pins;
        next.overrides.follow_renames(&config.live.interfaces, pins, turn.state());
        let (overrides, dropped) = next.overrides.reconcile(&config);
        let refreshed_before = next.live.refresh;
        next.overrides = overrides;
        let copy_trouble = found.trouble.map(|trouble| trouble.to_string());
        if !keeps_list {
            next.list = found.held;
        }
        (next.source, next.warnings, next.file_warnings) =
            (Arc::new(source), warnings, file_warnings);
        let former = mem::replace(&mut next.live, config.live).extra;
        admitted_extra::begin(turn.state(), &former, &next.live.extra);
        turn.apply(&mut next, &[])?;
        admitted_extra::finish(turn.state(), &former, &next.live.extra);
        if next.packets == PacketFilter::Unloaded {
            tracing::warn!("{}", status::UNLOADED);
            summary.warnings.push(status::UNLOADED.to_owned());
        }
        turn.notify(Command::Commit(next.for_terminator()));
        next.overrides.log_and_drop(turn.state(), &dropped);
        {
            let mut refreshes = self.refresher.state();
            if !keeps_list {
                *refreshes = RefreshState::new(&next.live, &next.list, copy_trouble);
            } else if next.live.refresh != refreshed_before {
                refreshes.plan_first(&next.live, &next.list);
            }
        }
        await_ack(turn.commit(next, Predecessors::Release));
        Ok(summary)
    }

    /// Puts the sites' files, as they are on disk now, in force, without the operator's word. The
    /// rest of the configuration stays as it is. The caller has the turn to reload.
    pub(super) fn try_reload_site_files(&self) -> Result<LoadedSummary, DaemonError> {
        self.lifecycle.may_load()?;
        let (source, sites, before) = {
            let policy = self.policy.read();
            (policy.source.clone(), policy.live.sites.clone(), policy.file_warnings.clone())
        };
        let text = source.text.clone();
        let now = aop_types::unix_seconds();
        // Lists that must not replace those in force by themselves.
        let (mut kept, mut declined) = (BTreeMap::new(), Vec::new());
        let (files, file_warnings) = loop {
            let files = SiteFiles::on_disk_except(kept.clone());
            let (_, file_warnings) = Sites::build(&sites, &files)?;
            let Some(objection) = file_warnings.objection(&before, now) else {
                break (files, file_warnings);
            };
            let file = PathBuf::from(&objection.file);
            let list = source.list(&file).filter(|_| !kept.contains_key(&file));
            let Some(list) = list else { return Err(DaemonError::Declined(objection.why)) };
            kept.insert(file, list);
            declined.push(objection.why);
        };
        if declined.is_empty() {
            return self.put_site_files_in_force(text, sites, files, file_warnings);
        }
        // The other files are in force all the same.
        if source.changed().iter().any(|path| !kept.contains_key(*path)) {
            self.put_site_files_in_force(text, sites, files, file_warnings)?;
        }
        Err(DaemonError::Declined(declined.join("; ")))
    }

    fn put_site_files_in_force(
        &self,
        text: String,
        sites: Vec<SiteConfig>,
        files: SiteFiles,
        file_warnings: FileWarnings,
    ) -> Result<LoadedSummary, DaemonError> {
        let now = aop_types::unix_seconds();
        let warnings = file_warnings.texts(now);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let (bundle, source) = pack(self.reloads.file(), text, files, &sites)?;
        let summary = LoadedSummary { sites: sites.len(), files: bundle.file_count(), warnings };
        if let Some(terminator) = &self.terminator {
            terminator.prepare(bundle)?;
        }
        let mut turn = self.turn()?;
        self.lifecycle.may_load()?;
        let mut next = turn.policy();
        (next.source, next.file_warnings) = (Arc::new(source), file_warnings);
        turn.notify(Command::Commit(next.for_terminator()));
        await_ack(turn.commit(next, Predecessors::Release));
        Ok(summary)
    }
}

/// Waits until the terminator has done what it was notified of. If it does not answer, it does so
/// later, or it dies and the daemon stops.
pub(super) fn await_ack(pending: Option<PendingAck>) {
    if let Some(Err(error)) = pending.map(|pending| pending.await_ack(PATIENCE)) {
        tracing::error!(
            "the change applies to packets, but perhaps not yet to handshakes: {error}"
        );
    }
}

fn differing(old: &StartupConfig, new: &StartupConfig) -> Vec<&'static str> {
    let mut keys = Vec::new();
    match (&old.firewall, &new.firewall) {
        (Some(old), Some(new)) => {
            if old.attach != new.attach {
                keys.push("firewall.attach");
            }
        }
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => keys.push("firewall.mode (to or from off)"),
    }
    if old.listeners != new.listeners {
        keys.push("listener.bind");
    }
    if old.user != new.user {
        keys.push("terminator.user");
    }
    if old.paths != new.paths {
        keys.push("paths");
    }
    if old.readers != new.readers {
        keys.push("control.readers");
    }
    let address = |config: &StartupConfig| config.monitor.as_ref().map(|it| it.address.clone());
    if address(old) != address(new) {
        keys.push("monitor.listen");
    } else if old.monitor != new.monitor {
        keys.push("monitor.page");
    }
    if old.limits != new.limits {
        keys.push("limits.connections, handshakes, per_peer or workers");
    }
    keys
}
