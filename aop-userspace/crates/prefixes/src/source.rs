//! Reads a source: at start without the network, later with it.

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use aop_config::{ListUrl, PrefixSource};
use aop_sandbox::Launcher;

use super::{
    CurrentList, ListChange, ListOrigin, PrefixError, PrefixList, RemovalLimit, StoredError,
    document::{self, Form},
    errand::{self, Brought},
    snapshot::snapshot,
    stored,
    validate::{self, ListLimits},
};

/// The list at start, before any source was asked.
#[derive(Debug)]
pub struct StartList {
    /// The list to start with.
    pub held: CurrentList,
    /// What is wrong with the list that an earlier run stored.
    pub trouble: Option<StoredError>,
}

/// The answer of a source, compared with the list in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// The source has the list in force.
    Confirmed {
        /// Its current etag.
        etag: Option<String>,
    },
    /// The source has another list, and it passed validation.
    Replaced {
        /// The list.
        list: PrefixList,
        /// The added and removed prefixes.
        change: ListChange,
    },
}

/// The list to start with, without the network: the newer of the list that an earlier run stored in
/// `state` and the snapshot; for a file or an inline list, that list.
///
/// # Errors
/// The file cannot be read or is refused.
pub fn at_start(source: &PrefixSource, state: &Path) -> Result<StartList, PrefixError> {
    let found = |held| StartList { held, trouble: None };
    Ok(match source {
        PrefixSource::Cloudflare(url) => newest(url, source, state, snapshot()),
        PrefixSource::Url(url) => {
            let nothing = CurrentList {
                list: PrefixList::default(),
                origin: ListOrigin::Nowhere,
                confirmed: None,
            };
            newest(url, source, state, nothing)
        }
        PrefixSource::File(path) => found(CurrentList::now(file(path)?, ListOrigin::File)),
        PrefixSource::Inline(list) => {
            found(CurrentList::now(PrefixList::new(list.clone(), None), ListOrigin::Inline))
        }
    })
}

fn newest(url: &ListUrl, source: &PrefixSource, state: &Path, other: CurrentList) -> StartList {
    let believed = stored::load(state, url).and_then(|stored| match stored {
        Some(held) => match validate::list(held.list.prefixes(), expectations(source)) {
            Ok(()) => Ok(Some(held)),
            Err(refusal) => Err(stored::disbelieved(state, refusal.to_string())),
        },
        None => Ok(None),
    });
    match believed {
        Ok(Some(held)) if held.confirmed >= other.confirmed => StartList { held, trouble: None },
        Ok(_) => StartList { held: other, trouble: None },
        Err(trouble) => StartList { held: other, trouble: Some(trouble) },
    }
}

/// Reads `source`, or has a process of `launcher` fetch it, and compares the answer with `held`.
/// Applies nothing. Fetching blocks for about ten seconds at most.
///
/// # Errors
/// There is no answer, or it does not pass validation.
pub fn read_source(
    source: &PrefixSource,
    held: &PrefixList,
    shrink: RemovalLimit,
    launcher: &Launcher,
) -> Result<Proposal, PrefixError> {
    match source {
        PrefixSource::Cloudflare(url) => {
            let jdcloud = url.as_str().contains("networks=jdcloud");
            fetched(source, url, Form::Api { jdcloud }, held, shrink, launcher)
        }
        PrefixSource::Url(url) => fetched(source, url, Form::Either, held, shrink, launcher),
        PrefixSource::File(path) => Ok(own_word(held, file(path)?)),
        PrefixSource::Inline(list) => Ok(own_word(held, PrefixList::new(list.clone(), None))),
    }
}

fn fetched(
    source: &PrefixSource,
    url: &ListUrl,
    form: Form,
    held: &PrefixList,
    shrink: RemovalLimit,
    launcher: &Launcher,
) -> Result<Proposal, PrefixError> {
    let origin = || url.to_string();
    // Only an etag from a header has quotes; the etag in the JSON of the API has none.
    let known = held.etag.as_deref().filter(|etag| etag.ends_with('"'));
    let list = match errand::fetch(launcher, url, form, known, expectations(source).most_bytes)? {
        Brought::Unchanged => return Ok(Proposal::Confirmed { etag: held.etag.clone() }),
        Brought::List(list) => list,
    };
    let refused = |refusal| PrefixError::Refused { url: origin(), refusal };
    validate::list(list.prefixes(), expectations(source)).map_err(refused)?;
    let change = validate::step(held, &list, shrink).map_err(refused)?;
    Ok(proposal(list, change))
}

fn expectations(source: &PrefixSource) -> &'static ListLimits {
    match source {
        PrefixSource::Cloudflare(_) => &ListLimits::CLOUDFLARE,
        PrefixSource::Url(_) | PrefixSource::File(_) | PrefixSource::Inline(_) => &ListLimits::ANY,
    }
}

fn own_word(held: &PrefixList, list: PrefixList) -> Proposal {
    let change = ListChange::between(held, &list);
    proposal(list, change)
}

fn proposal(list: PrefixList, change: ListChange) -> Proposal {
    match change.is_empty() {
        true => Proposal::Confirmed { etag: list.etag },
        false => Proposal::Replaced { list, change },
    }
}

fn file(path: &Path) -> Result<PrefixList, PrefixError> {
    let text = fs::read_to_string(path)
        .map_err(|error| PrefixError::Unreadable { path: path.into(), error })?;
    document::read(&text, Form::Either)
        .map_err(|error| PrefixError::File { path: path.into(), error })
}
