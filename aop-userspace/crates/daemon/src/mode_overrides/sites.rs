//! Mode overrides of sites. Whichever came last wins, the command or a changed file: a site whose
//! `on_refusal` was changed loses its override.

use std::collections::BTreeMap;

use aop_api::{SiteMode, mode_name};
use aop_common::Mode;
use aop_config::{OnRefusal, ReloadableConfig, SiteConfig};

/// The override of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SiteWord {
    pub(super) mode: Mode,
    /// The site's on_refusal, then and now.
    pub(super) configured: OnRefusal,
}

/// By the name of the site.
pub(super) type SiteWords = BTreeMap<String, SiteWord>;

/// The configured values of what a command names.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// The value of firewall.mode.
    pub(crate) mode: Mode,
    /// on_refusal of each site that the command names.
    pub(crate) sites: BTreeMap<String, OnRefusal>,
}

impl From<Mode> for Configured {
    fn from(mode: Mode) -> Self {
        Self { mode, sites: BTreeMap::new() }
    }
}

/// Sets the overrides of the sites in `configured`; `None` removes them.
pub(super) fn say(words: &mut SiteWords, configured: &Configured, mode: Option<Mode>) {
    for (site, on_refusal) in &configured.sites {
        match mode.filter(|mode| on_refusal.under(Some(*mode)) != *on_refusal) {
            Some(mode) => {
                words.insert(site.clone(), SiteWord { mode, configured: *on_refusal });
            }
            None => {
                words.remove(site);
            }
        }
    }
}

/// Drops the overrides that `live` contradicts; returns a log line for each.
pub(super) fn under(words: &mut SiteWords, live: &ReloadableConfig) -> Vec<String> {
    let mut lost = Vec::new();
    words.retain(|site, word| {
        let now = live.sites.iter().find(|it| it.name == *site).map(|it| it.on_refusal);
        let stays = now == Some(word.configured);
        if !stays {
            lost.push(format!(
                "site {site}: on_refusal was {} when `aop mode` set {} and is {} now: the \
                 configuration counts",
                word.configured.name(),
                mode_name(word.mode),
                now.map_or("removed", OnRefusal::name)
            ));
        }
        stays
    });
    if words.is_empty() {
        return lost;
    }
    // Where two sites may no longer share an upstream, the one that observes is made to refuse.
    let mut sites = said_of(words, live);
    while let Some(conflict) = aop_config::conflict(&sites) {
        let observes = |site: &&SiteConfig| site.on_refusal == OnRefusal::Observe;
        let Some(name) = [conflict.one, conflict.other].into_iter().find(observes) else { break };
        let name = name.name.clone();
        lost.push(format!("site {name} no longer observes: {conflict}"));
        let Some(configured) = live.sites.iter().find(|it| it.name == name) else { break };
        let on_refusal = configured.on_refusal;
        match on_refusal {
            OnRefusal::Observe => {
                words.insert(name, SiteWord { mode: Mode::Enforce, configured: on_refusal });
            }
            OnRefusal::Close | OnRefusal::Explain => {
                words.remove(&name);
            }
        }
        sites = said_of(words, live);
    }
    lost
}

/// Overrides that make every site refuse. Used where the stored ones cannot be read.
pub(super) fn strict(live: &ReloadableConfig) -> SiteWords {
    let observing = live.sites.iter().filter(|site| site.on_refusal == OnRefusal::Observe);
    let word = |site: &SiteConfig| SiteWord { mode: Mode::Enforce, configured: site.on_refusal };
    observing.map(|site| (site.name.clone(), word(site))).collect()
}

/// The sites of `live` with their overrides.
pub(super) fn said_of(words: &SiteWords, live: &ReloadableConfig) -> Vec<SiteConfig> {
    let mut sites = live.sites.clone();
    for site in &mut sites {
        site.on_refusal = site.on_refusal.under(words.get(&site.name).map(|word| word.mode));
    }
    sites
}

/// The modes of sites that observe, explain or have an override.
pub(super) fn told(words: &SiteWords, live: &ReloadableConfig) -> Vec<SiteMode> {
    let modes = live.sites.iter().filter_map(|site| {
        let word = words.get(&site.name).map(|word| word.mode);
        let on_refusal = site.on_refusal.under(word);
        (word.is_some() || on_refusal != OnRefusal::Close).then(|| SiteMode {
            site: site.name.clone(),
            mode: mode_name(mode(on_refusal)).to_owned(),
            configured: Some(site.on_refusal.name().to_owned()),
            said: word.is_some(),
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
