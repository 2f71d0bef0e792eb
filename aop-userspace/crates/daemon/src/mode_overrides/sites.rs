//! Mode overrides of sites. Whichever came last wins, the command or a changed file: a site whose
//! `on_refusal` was changed loses its override.

use std::collections::BTreeMap;

use aop_api::SiteMode;
use aop_common::Mode;
use aop_config::{OnRefusal, ReloadableConfig, SiteConfig};
use serde::{Deserialize, Serialize};

/// The override of a site, also in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteOverride {
    pub(super) mode: Mode,
    /// The site's on_refusal, then and now.
    pub(super) configured: OnRefusal,
}

/// By the name of the site.
pub(super) type SiteOverrides = BTreeMap<String, SiteOverride>;

/// The configured values of what a command names.
#[derive(Clone, Debug)]
pub(crate) struct ConfiguredModes {
    /// The value of firewall.mode.
    pub(crate) mode: Mode,
    /// on_refusal of each site that the command names.
    pub(crate) sites: BTreeMap<String, OnRefusal>,
}

impl From<Mode> for ConfiguredModes {
    fn from(mode: Mode) -> Self {
        Self { mode, sites: BTreeMap::new() }
    }
}

/// Sets the overrides of the sites in `configured`; `None` removes them.
pub(super) fn set(overrides: &mut SiteOverrides, configured: &ConfiguredModes, mode: Option<Mode>) {
    for (site, on_refusal) in &configured.sites {
        match mode.filter(|mode| on_refusal.under(Some(*mode)) != *on_refusal) {
            Some(mode) => {
                overrides.insert(site.clone(), SiteOverride { mode, configured: *on_refusal });
            }
            None => {
                overrides.remove(site);
            }
        }
    }
}

/// Drops the overrides that `live` contradicts; returns a log line for each.
pub(super) fn reconcile(overrides: &mut SiteOverrides, live: &ReloadableConfig) -> Vec<String> {
    let mut lost = Vec::new();
    overrides.retain(|site, site_override| {
        let now = live.sites.iter().find(|it| it.name == *site).map(|it| it.on_refusal);
        let stays = now == Some(site_override.configured);
        if !stays {
            lost.push(format!(
                "site {site}: on_refusal was {} when `aop mode` set {} and is {} now: the \
                 configuration counts",
                site_override.configured.name(),
                site_override.mode.name(),
                now.map_or("removed", OnRefusal::name)
            ));
        }
        stays
    });
    if overrides.is_empty() {
        return lost;
    }
    // Where two sites may no longer share an upstream, the one that observes is made to refuse.
    let mut sites = with_overrides(overrides, live);
    while let Some(conflict) = aop_config::conflict(&sites) {
        let observes = |site: &&SiteConfig| site.on_refusal == OnRefusal::Observe;
        let Some(name) = [conflict.one, conflict.other].into_iter().find(observes) else { break };
        let name = name.name.clone();
        lost.push(format!("site {name} no longer observes: {conflict}"));
        let Some(configured) = live.sites.iter().find(|it| it.name == name) else { break };
        let on_refusal = configured.on_refusal;
        match on_refusal {
            OnRefusal::Observe => {
                overrides
                    .insert(name, SiteOverride { mode: Mode::Enforce, configured: on_refusal });
            }
            OnRefusal::Close | OnRefusal::Explain => {
                overrides.remove(&name);
            }
        }
        sites = with_overrides(overrides, live);
    }
    lost
}

/// Overrides that make every site refuse. Used where the stored ones cannot be read.
pub(super) fn all_refusing(live: &ReloadableConfig) -> SiteOverrides {
    let observing = live.sites.iter().filter(|site| site.on_refusal == OnRefusal::Observe);
    let site_override =
        |site: &SiteConfig| SiteOverride { mode: Mode::Enforce, configured: site.on_refusal };
    observing.map(|site| (site.name.clone(), site_override(site))).collect()
}

/// The sites of `live` with their overrides.
pub(super) fn with_overrides(
    overrides: &SiteOverrides,
    live: &ReloadableConfig,
) -> Vec<SiteConfig> {
    let mut sites = live.sites.clone();
    for site in &mut sites {
        site.on_refusal = site
            .on_refusal
            .under(overrides.get(&site.name).map(|site_override| site_override.mode));
    }
    sites
}

/// The modes of sites that observe, explain or have an override.
pub(super) fn site_modes(overrides: &SiteOverrides, live: &ReloadableConfig) -> Vec<SiteMode> {
    let modes = live.sites.iter().filter_map(|site| {
        let site_override = overrides.get(&site.name).map(|site_override| site_override.mode);
        let on_refusal = site.on_refusal.under(site_override);
        (site_override.is_some() || on_refusal != OnRefusal::Close).then(|| SiteMode {
            site: site.name.clone(),
            mode: mode(on_refusal).into(),
            configured: Some(site.on_refusal.name().into()),
            said: site_override.is_some(),
        })
    });
    modes.collect()
}

/// `explain` refuses, too.
pub(super) fn mode(on_refusal: OnRefusal) -> Mode {
    match on_refusal {
        OnRefusal::Observe => Mode::Observe,
        OnRefusal::Close | OnRefusal::Explain => Mode::Enforce,
    }
}
