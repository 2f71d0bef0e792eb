//! Decides what to do with the old file of overrides when the new ones cannot be written: whether a
//! restart with the configuration alone is better.

use std::collections::BTreeSet;

use aop_common::Mode;
use aop_types::Modes;

use super::{ModeOverrides, OverrideState, sites};

/// One decision about packets or a site: its mode by the old file, by the configuration alone, and
/// by the overrides in force.
struct ModeBySource {
    kept: Mode,
    configured: Mode,
    said: Mode,
}

/// Whether the configuration alone refuses something that `kept` would pass and that is refused
/// now, and passes nothing that both refuse.
pub(super) fn is_better_gone(kept: &OverrideState, said: &OverrideState) -> bool {
    let strict = judged(kept, said).into_iter().filter(|it| it.said == Mode::Enforce);
    let (mut better, mut worse) = (false, false);
    for ModeBySource { kept, configured, said: _ } in strict {
        better |= (kept, configured) == (Mode::Observe, Mode::Enforce);
        worse |= (kept, configured) == (Mode::Enforce, Mode::Observe);
    }
    better && !worse
}

fn judged(kept: &OverrideState, said: &OverrideState) -> Vec<ModeBySource> {
    let of_word = said.word.as_ref().map(|word| word.configured);
    let Some(configured) = of_word.or(said.pending.as_ref().map(|it| it.configured)) else {
        return Vec::new();
    };
    // A restart reverts pending overrides.
    let words = [kept.lasting(), said.lasting()];
    // Overrides made under another configuration are dropped.
    let modes = words.map(|word| match word.filter(|word| word.configured == configured) {
        Some(word) => word.modes(),
        None => configured.into(),
    });
    let mut judged = of_packets(&modes, configured);
    judged.extend(of_sites(words));
    judged
}

fn of_packets([kept, said]: &[Modes; 2], configured: Mode) -> Vec<ModeBySource> {
    // Port 0 and interface "": any without an override.
    let ports = kept.ports.keys().chain(said.ports.keys()).copied().chain([0]);
    let names = kept.interfaces.keys().chain(said.interfaces.keys()).map(String::as_str);
    let names: BTreeSet<&str> = names.chain([""]).collect();
    let each = ports.flat_map(|port| names.iter().map(move |name| (*name, port)));
    let judged = each.map(|(name, port)| ModeBySource {
        kept: kept.mode(name, port),
        configured,
        said: said.mode(name, port),
    });
    judged.collect()
}

fn of_sites([kept, said]: [Option<&ModeOverrides>; 2]) -> Vec<ModeBySource> {
    // The newer overrides name the on_refusal that is configured now.
    let named = [said, kept].into_iter().flatten().flat_map(|word| &word.sites);
    let judged = named.map(|(site, named)| {
        let configured = named.configured;
        let under = |word: Option<&ModeOverrides>| {
            let own = word.and_then(|word| word.sites.get(site));
            let own = own.filter(|own| own.configured == configured);
            sites::mode(configured.under(own.map(|own| own.mode)))
        };
        ModeBySource { kept: under(kept), configured: sites::mode(configured), said: under(said) }
    });
    judged.collect()
}
