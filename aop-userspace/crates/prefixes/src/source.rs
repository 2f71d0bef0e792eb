//! A source, asked: at start without the network, later as often as wanted.

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use aop_config::{ListUrl, PrefixSource};
use aop_sandbox::Launcher;

use super::{
    Change, Held, List, Origin, PrefixError, Shrink, StoredError,
    document::{self, Form},
    errand::{self, Brought},
    snapshot::snapshot,
    stored,
    validate::{self, Expectations},
};

/// What there is before anybody was asked.
#[derive(Debug)]
pub struct Found {
    /// The list to begin with.
    pub held: Held,
    /// What is wrong with the list that an earlier run has kept.
    pub trouble: Option<StoredError>,
}

/// What a source says against the list in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// It is still that list, under this etag.
    Confirmed {
        /// The etag.
        etag: Option<String>,
    },
    /// It is another one, to be believed.
    Replaced {
        /// The list.
        list: List,
        /// What comes and goes.
        change: Change,
    },
}

/// The list to begin with, without the network: the newest of what an earlier run kept in `state`
/// and the snapshot; a file and the configuration as they are.
///
/// # Errors
/// The file cannot be read or is refused.
pub fn at_start(source: &PrefixSource, state: &Path) -> Result<Found, PrefixError> {
    let found = |held| Found { held, trouble: None };
    Ok(match source {
        PrefixSource::Cloudflare(url) => newest(url, source, state, snapshot()),
        PrefixSource::Url(url) => {
            let nothing = Held { list: List::default(), origin: Origin::Nowhere, confirmed: None };
            newest(url, source, state, nothing)
        }
        PrefixSource::File(path) => found(Held::now(file(path)?, Origin::File)),
        PrefixSource::Inline(list) => {
            found(Held::now(List::new(list.clone(), None), Origin::Inline))
        }
    })
}

fn newest(url: &ListUrl, source: &PrefixSource, state: &Path, other: Held) -> Found {
    let believed = stored::load(state, url).and_then(|stored| match stored {
        Some(held) => match validate::list(held.list.prefixes(), expectations(source)) {
            Ok(()) => Ok(Some(held)),
            Err(refusal) => Err(stored::disbelieved(state, refusal.to_string())),
        },
        None => Ok(None),
    });
    match believed {
        Ok(Some(held)) if held.confirmed >= other.confirmed => Found { held, trouble: None },
        Ok(_) => Found { held: other, trouble: None },
        Err(trouble) => Found { held: other, trouble: Some(trouble) },
    }
}

/// Reads `source`, or has it fetched by a process of `launcher`, and judges what it says against
/// `held`. Changes nothing; fetching blocks for some ten seconds at most.
///
/// # Errors
/// There is no answer, or it is not to be believed.
pub fn read_anew(
    source: &PrefixSource,
    held: &List,
    shrink: Shrink,
    launcher: &Launcher,
) -> Result<Proposal, PrefixError> {
    match source {
        PrefixSource::Cloudflare(url) => {
            let jdcloud = url.as_str().contains("networks=jdcloud");
            fetched(source, url, Form::Api { jdcloud }, held, shrink, launcher)
        }
        PrefixSource::Url(url) => fetched(source, url, Form::Either, held, shrink, launcher),
        PrefixSource::File(path) => Ok(own_word(held, file(path)?)),
        PrefixSource::Inline(list) => Ok(own_word(held, List::new(list.clone(), None))),
    }
}

fn fetched(
    source: &PrefixSource,
    url: &ListUrl,
    form: Form,
    held: &List,
    shrink: Shrink,
    launcher: &Launcher,
) -> Result<Proposal, PrefixError> {
    let origin = || url.to_string();
    // The API's own etag is in its JSON, without the quotes of the header.
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

fn expectations(source: &PrefixSource) -> &'static Expectations {
    match source {
        PrefixSource::Cloudflare(_) => &Expectations::CLOUDFLARE,
        PrefixSource::Url(_) | PrefixSource::File(_) | PrefixSource::Inline(_) => {
            &Expectations::ANY
        }
    }
}

fn own_word(held: &List, list: List) -> Proposal {
    let change = Change::between(held, &list);
    proposal(list, change)
}

fn proposal(list: List, change: Change) -> Proposal {
    match change.is_empty() {
        true => Proposal::Confirmed { etag: list.etag },
        false => Proposal::Replaced { list, change },
    }
}

fn file(path: &Path) -> Result<List, PrefixError> {
    let text = fs::read_to_string(path)
        .map_err(|error| PrefixError::Unreadable { path: path.into(), error })?;
    document::read(&text, Form::Either)
        .map_err(|error| PrefixError::File { path: path.into(), error })
}
