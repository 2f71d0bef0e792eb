//! The content of `modes.json`, the file of mode overrides.

use std::{collections::BTreeMap, io, time::Instant};

use aop_common::Mode;
use aop_config::OnRefusal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ModeOverrides, OverrideState,
    pending::{PendingOverride, PendingOverrideFile},
    sites::SiteOverride,
};

/// The content of the file. An unknown field makes it a file of another version, which is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverridesFile {
    set_at: Timestamp,
    configured: Named,
    general: Option<Named>,
    ports: BTreeMap<u16, Named>,
    interfaces: BTreeMap<String, Named>,
    /// Missing where there are none, as in files of versions without overrides of sites.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sites: BTreeMap<String, SiteOverrideFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<PendingOverrideFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteOverrideFile {
    mode: Named,
    configured: NamedRefusal,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NamedRefusal {
    Close,
    Explain,
    Observe,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Named {
    Enforce,
    Observe,
}

impl OverridesFile {
    pub(super) fn of(overrides: &ModeOverrides) -> Self {
        let ModeOverrides { set_at, configured, general, ports, interfaces, sites } =
            overrides.clone();
        let site = |(site, overrides): (String, SiteOverride)| {
            let SiteOverride { mode, configured } = overrides;
            (site, SiteOverrideFile { mode: mode.into(), configured: configured.into() })
        };
        Self {
            sites: sites.into_iter().map(site).collect(),
            set_at,
            configured: configured.into(),
            general: general.map(Into::into),
            ports: ports.into_iter().map(|(port, mode)| (port, mode.into())).collect(),
            interfaces: interfaces.into_iter().map(|(name, mode)| (name, mode.into())).collect(),
            pending: None,
        }
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
        let configured = self.configured.into();
        let pending = self.pending.take().map(|document| document.pending(configured, now));
        OverrideState { overrides: self.overrides().if_any(), pending, trouble: None }
    }

    pub(super) fn overrides(self) -> ModeOverrides {
        let Self { set_at, configured, general, ports, interfaces, sites, pending: _ } = self;
        let site = |(site, document): (String, SiteOverrideFile)| {
            let SiteOverrideFile { mode, configured } = document;
            (site, SiteOverride { mode: mode.into(), configured: configured.into() })
        };
        ModeOverrides {
            sites: sites.into_iter().map(site).collect(),
            set_at,
            configured: configured.into(),
            general: general.map(Into::into),
            ports: ports.into_iter().map(|(port, mode)| (port, mode.into())).collect(),
            interfaces: interfaces.into_iter().map(|(name, mode)| (name, mode.into())).collect(),
        }
    }

    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

impl From<OnRefusal> for NamedRefusal {
    fn from(on_refusal: OnRefusal) -> Self {
        match on_refusal {
            OnRefusal::Close => Self::Close,
            OnRefusal::Explain => Self::Explain,
            OnRefusal::Observe => Self::Observe,
        }
    }
}

impl From<NamedRefusal> for OnRefusal {
    fn from(named: NamedRefusal) -> Self {
        match named {
            NamedRefusal::Close => Self::Close,
            NamedRefusal::Explain => Self::Explain,
            NamedRefusal::Observe => Self::Observe,
        }
    }
}

impl From<Mode> for Named {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Observe => Self::Observe,
        }
    }
}

impl From<Named> for Mode {
    fn from(named: Named) -> Self {
        match named {
            Named::Enforce => Self::Enforce,
            Named::Observe => Self::Observe,
        }
    }
}
