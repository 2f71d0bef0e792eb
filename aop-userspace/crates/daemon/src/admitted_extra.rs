//! The prefixes that `firewall.extra` has admitted, in `paths.state`.
//!
//! While a list was never fetched, the prefixes in the maps stay admitted, and the maps do not say
//! which of them come from where. This file does, so that a prefix that is taken out of
//! `firewall.extra` goes, also over a restart.

use std::{collections::BTreeSet, io, path::Path};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

const FILE: &str = "extra.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    extra: Vec<IpNet>,
}

/// The prefixes in the file; none without one. A file that cannot be used is a warning.
pub(super) fn load(state: &Path) -> Vec<IpNet> {
    match try_load(state) {
        Ok(document) => document.extra,
        Err(error) => {
            let file = state.join(FILE);
            tracing::warn!(
                "{}: cannot read what firewall.extra admitted last: {error}; if the prefix list \
                 was never fetched, a prefix that was taken out of it meanwhile stays admitted",
                file.display()
            );
            Vec::new()
        }
    }
}

fn try_load(state: &Path) -> io::Result<Document> {
    let text = aop_storage::read(state, FILE)?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?.unwrap_or_default())
}

/// A change from `former` to `extra` begins: stores both, because either may be in the maps if it
/// is interrupted.
pub(super) fn begin(state: &Path, former: &[IpNet], extra: &[IpNet]) {
    if former != extra {
        let both: BTreeSet<IpNet> = former.iter().chain(extra).copied().collect();
        store(state, &both.into_iter().collect::<Vec<_>>());
    }
}

/// The change is complete.
pub(super) fn finish(state: &Path, former: &[IpNet], extra: &[IpNet]) {
    if former != extra {
        store(state, extra);
    }
}

fn store(state: &Path, extra: &[IpNet]) {
    let document = Document { extra: extra.to_vec() };
    let text = serde_json::to_vec(&document).map_err(io::Error::from);
    if let Err(error) = text.and_then(|text| aop_storage::write(state, FILE, &text)) {
        tracing::warn!(
            "cannot store what firewall.extra admits: {error}; correct paths.state, its \
             permissions or its disk"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_stored_during_a_change_and_the_new_prefixes_after_it() {
        let state = tempfile::tempdir().expect("a directory");
        let state = state.path();
        assert!(load(state).is_empty());
        let nets = |text: &str| vec![text.parse::<IpNet>().expect("a prefix")];
        let (former, extra) = (nets("192.0.2.0/24"), nets("198.51.100.7/32"));
        begin(state, &former, &extra);
        assert_eq!(load(state), [former.clone(), extra.clone()].concat());
        finish(state, &former, &extra);
        assert_eq!(load(state), extra);
        std::fs::write(state.join(FILE), "{").expect("written");
        assert!(load(state).is_empty());
    }
}
