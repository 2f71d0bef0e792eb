//! The content of `modes.json`, the file of mode overrides.

use std::{collections::BTreeMap, io, time::Instant};

use aop_common::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ModeOverrides, OverrideState,
    pending::{PendingOverride, PendingOverrideFile},
    sites::SiteOverrides,
};

/// The content of the file. An unknown field makes it a file of another version, which is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverridesFile {
    set_at: Timestamp,
    configured: Mode,
    general: Option<Mode>,
    ports: BTreeMap<u16, Mode>,
    interfaces: BTreeMap<String, Mode>,
    /// Missing where there are none, as in files of versions without overrides of sites.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sites: SiteOverrides,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<PendingOverrideFile>,
}

impl OverridesFile {
    pub(super) fn of(overrides: &ModeOverrides) -> Self {
        let ModeOverrides { set_at, configured, general, ports, interfaces, sites } =
            overrides.clone();
        Self { set_at, configured, general, ports, interfaces, sites, pending: None }
    }

    /// `None` where there is nothing to store.
    pub(super) fn of_all(state: &OverrideState) -> Option<Self> {
        let pending = state.pending.as_ref();
        let nothing = |pending: &PendingOverride| {
            ModeOverrides::of(pending.configured.into(), pending.configured, pending.set_at)
        };
        let overrides = state.overrides.clone().or_else(|| pending.map(nothing))?;
        Some(Self { pending: pending.map(PendingOverrideFile::of), ..Self::of(&overrides) })
    }

    pub(super) fn state(mut self, now: (Timestamp, Instant)) -> OverrideState {
        let pending = self.pending.take().map(|document| document.pending(self.configured, now));
        OverrideState { overrides: self.overrides().if_any(), pending, trouble: None }
    }

    pub(super) fn overrides(self) -> ModeOverrides {
        let Self { set_at, configured, general, ports, interfaces, sites, pending: _ } = self;
        ModeOverrides { set_at, configured, general, ports, interfaces, sites }
    }

    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}
