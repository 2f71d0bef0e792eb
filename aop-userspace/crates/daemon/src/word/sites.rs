//! What the operator said of sites: whether they observe. Of two words the newer one counts, so a site
//! whose `on_refusal` is another than it was loses what was said of it.

use std::collections::BTreeMap;

use aop_api::{SiteMode, mode_name};
use aop_common::Mode;
use aop_config::{Live, OnRefusal, SiteConfig};

/// What was said of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SiteWord {
    pub(super) mode: Mode,
    /// What its on_refusal was then, and is.
    pub(super) configured: OnRefusal,
}

/// By the name of the site.
pub(super) type SiteWords = BTreeMap<String, SiteWord>;

/// What the configuration says of what a word is about.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// firewall.mode
    pub(crate) mode: Mode,
    /// on_refusal of each site that the word names.
    pub(crate) sites: BTreeMap<String, OnRefusal>,
}

impl From<Mode> for Configured {
    fn from(mode: Mode) -> Self {
        Self { mode, sites: BTreeMap::new() }
    }
}

/// Takes up what was said of the sites that `configured` has; `None` takes back.
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

/// What is left of `words` under `live`; what is lost, as the log tells it.
pub(super) fn under(words: &mut SiteWords, live: &Live) -> Vec<String> {
    let mut lost = Vec::new();
    words.retain(|site, word| {
        let now = live.sites.iter().find(|it| it.name == *site).map(|it| it.on_refusal);
        let stays = now == Some(word.configured);
        if !stays {
            lost.push(format!(
                "site {site}: on_refusal was {} when `aop mode` said {} and is {} now: the \
                 configuration counts",
                word.configured.name(),
                mode_name(word.mode),
                now.map_or("of no site", OnRefusal::name)
            ));
        }
        stays
    });
    if words.is_empty() {
        return lost;
    }
    // Where two may not share an upstream any more, the one that observes refuses.
    let mut sites = said_of(words, live);
    while let Some(conflict) = aop_config::conflict(&sites) {
        let observes = |site: &&SiteConfig| site.on_refusal == OnRefusal::Observe;
        let Some(name) = [conflict.one, conflict.other].into_iter().find(observes) else { break };
        let name = name.name.clone();
        lost.push(format!("site {name} observes no more: {conflict}"));
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

/// The words that make every site refuse: for where it is not known what was said.
pub(super) fn strict(live: &Live) -> SiteWords {
    let observing = live.sites.iter().filter(|site| site.on_refusal == OnRefusal::Observe);
    let word = |site: &SiteConfig| SiteWord { mode: Mode::Enforce, configured: site.on_refusal };
    observing.map(|site| (site.name.clone(), word(site))).collect()
}

/// The sites of `live`, each refusing as was said.
pub(super) fn said_of(words: &SiteWords, live: &Live) -> Vec<SiteConfig> {
    let mut sites = live.sites.clone();
    for site in &mut sites {
        site.on_refusal = site.on_refusal.under(words.get(&site.name).map(|word| word.mode));
    }
    sites
}

/// The modes of sites, as far as there is something to tell: those that observe or explain, and those
/// of which something was said.
pub(super) fn told(words: &SiteWords, live: &Live) -> Vec<SiteMode> {
    let told = live.sites.iter().filter_map(|site| {
        let word = words.get(&site.name).map(|word| word.mode);
        let on_refusal = site.on_refusal.under(word);
        (word.is_some() || on_refusal != OnRefusal::Close).then(|| SiteMode {
            site: site.name.clone(),
            mode: mode_name(mode(on_refusal)).to_owned(),
            configured: Some(site.on_refusal.name().to_owned()),
            said: word.is_some(),
        })
    });
    told.collect()
}

/// To explain is to refuse.
pub(super) fn mode(on_refusal: OnRefusal) -> Mode {
    match on_refusal {
        OnRefusal::Observe => Mode::Observe,
        OnRefusal::Close | OnRefusal::Explain => Mode::Enforce,
    }
}
