//! Reads a source: at start without the network, later with it.

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use aop_config::{ListUrl, PrefixSource};
use aop_sandbox::Launcher;

use crate::{
    CurrentList, ListChange, ListOrigin, PrefixError, PrefixList, RemovalLimit, StoredError,
    document::{self, ListFormat},
    fetch_process::{self, FetchResult},
    snapshot::snapshot,
    stored,
    validate::{self, ListLimits},
};

/// The list at start, before any source was asked.
#[derive(Debug)]
pub struct StartList {
    /// The list to start with.
    pub held: CurrentList,
    /// The error in the list that an earlier run stored.
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
                origin: ListOrigin::None,
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
    let stored = stored::load(state, url).and_then(|stored| match stored {
        Some(held) => match validate::validate_list(held.list.prefixes(), limits_of(source)) {
            Ok(()) => Ok(Some(held)),
            Err(refusal) => Err(stored::invalid_list(state, refusal.to_string())),
        },
        None => Ok(None),
    });
    match stored {
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
    limit: RemovalLimit,
    launcher: &Launcher,
) -> Result<Proposal, PrefixError> {
    match source {
        PrefixSource::Cloudflare(url) => {
            fetch(source, url, ListFormat::ApiJson(url.networks()), held, limit, launcher)
        }
        PrefixSource::Url(url) => {
            fetch(source, url, ListFormat::JsonOrLines, held, limit, launcher)
        }
        PrefixSource::File(path) => Ok(compare(held, file(path)?)),
        PrefixSource::Inline(list) => Ok(compare(held, PrefixList::new(list.clone(), None))),
    }
}

fn fetch(
    source: &PrefixSource,
    url: &ListUrl,
    format: ListFormat,
    held: &PrefixList,
    limit: RemovalLimit,
    launcher: &Launcher,
) -> Result<Proposal, PrefixError> {
    // Only an etag from a header has quotes; the etag in the JSON of the API has none.
    let known = held.etag.as_deref().filter(|etag| etag.ends_with('"'));
    let limits = limits_of(source);
    let list = match fetch_process::fetch(launcher, url, format, known, limits.most_bytes)? {
        FetchResult::Unchanged => return Ok(Proposal::Confirmed { etag: held.etag.clone() }),
        FetchResult::List(list) => list,
    };
    let refused = |refusal| PrefixError::Refused { url: url.to_string(), refusal };
    validate::validate_list(list.prefixes(), limits).map_err(refused)?;
    let change = validate::validate_change(held, &list, limit).map_err(refused)?;
    Ok(proposal(list, change))
}

fn limits_of(source: &PrefixSource) -> &'static ListLimits {
    match source {
        PrefixSource::Cloudflare(_) => &ListLimits::CLOUDFLARE,
        PrefixSource::Url(_) | PrefixSource::File(_) | PrefixSource::Inline(_) => &ListLimits::ANY,
    }
}

/// The proposal of a list that is the operator's own, so it is not validated.
fn compare(held: &PrefixList, list: PrefixList) -> Proposal {
    let change = ListChange::between(held, &list);
    proposal(list, change)
}

fn proposal(list: PrefixList, change: ListChange) -> Proposal {
    if change.is_empty() {
        Proposal::Confirmed { etag: list.etag }
    } else {
        Proposal::Replaced { list, change }
    }
}

fn file(path: &Path) -> Result<PrefixList, PrefixError> {
    let text = fs::read_to_string(path)
        .map_err(|error| PrefixError::Unreadable { path: path.into(), error })?;
    document::parse(&text, ListFormat::JsonOrLines)
        .map_err(|error| PrefixError::File { path: path.into(), error })
}
