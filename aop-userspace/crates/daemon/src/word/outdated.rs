//! What was kept on disk, where a newer word cannot be written in its place: whether a restart is better
//! off with the configuration alone.

use std::collections::BTreeSet;

use aop_common::Mode;
use aop_types::Modes;

use super::{Spoken, Word, sites};

/// One thing that packets or pulls are judged by: under what was kept, under the configuration alone, and
/// as it is said now.
struct Judged {
    kept: Mode,
    configured: Mode,
    said: Mode,
}

/// Whether the configuration alone refuses something, as is said now, that `kept` would let through; and
/// lets nothing through that both refuse.
pub(super) fn is_better_gone(kept: &Spoken, said: &Spoken) -> bool {
    let strict = judged(kept, said).into_iter().filter(|it| it.said == Mode::Enforce);
    let (mut better, mut worse) = (false, false);
    for Judged { kept, configured, said: _ } in strict {
        better |= (kept, configured) == (Mode::Observe, Mode::Enforce);
        worse |= (kept, configured) == (Mode::Enforce, Mode::Observe);
    }
    better && !worse
}

fn judged(kept: &Spoken, said: &Spoken) -> Vec<Judged> {
    let of_word = said.word.as_ref().map(|word| word.configured);
    let Some(configured) = of_word.or(said.pending.as_ref().map(|it| it.configured)) else {
        return Vec::new();
    };
    // What waits to be confirmed is taken back.
    let words = [kept.lasting(), said.lasting()];
    // One of another configuration counts no more.
    let modes = words.map(|word| match word.filter(|word| word.configured == configured) {
        Some(word) => word.modes(),
        None => configured.into(),
    });
    let mut judged = of_packets(&modes, configured);
    judged.extend(of_sites(words));
    judged
}

fn of_packets([kept, said]: &[Modes; 2], configured: Mode) -> Vec<Judged> {
    // Zero and no name: a port and an interface of which nothing was said.
    let ports = kept.ports.keys().chain(said.ports.keys()).copied().chain([0]);
    let names = kept.interfaces.keys().chain(said.interfaces.keys()).map(String::as_str);
    let names: BTreeSet<&str> = names.chain([""]).collect();
    let each = ports.flat_map(|port| names.iter().map(move |name| (*name, port)));
    let judged = each.map(|(name, port)| Judged {
        kept: kept.mode(name, port),
        configured,
        said: said.mode(name, port),
    });
    judged.collect()
}

fn of_sites([kept, said]: [Option<&Word>; 2]) -> Vec<Judged> {
    // What is said now knows best what is configured.
    let named = [said, kept].into_iter().flatten().flat_map(|word| &word.sites);
    let judged = named.map(|(site, named)| {
        let configured = named.configured;
        let under = |word: Option<&Word>| {
            let own = word.and_then(|word| word.sites.get(site));
            let own = own.filter(|own| own.configured == configured);
            sites::mode(configured.under(own.map(|own| own.mode)))
        };
        Judged { kept: under(kept), configured: sites::mode(configured), said: under(said) }
    });
    judged.collect()
}
