//! The fetch process: it fetches one list without privilege, and then ends.
//!
//! An attacker who controls the source reaches only the parsers of HTTP, TLS and JSON in that
//! process. It returns prefixes, an etag and a text, which the daemon validates as untrusted input.

use std::{os::unix::net::UnixStream, time::Duration};

use aop_config::ListUrl;
use aop_sandbox::{
    Launcher, NameLookup, ProcessRole,
    channel::{self, ChannelError, Message},
};

use super::{
    Form, PrefixError, PrefixList,
    document::{self, DocumentError, shortened},
    fetch::{self, DEADLINE, FetchError},
};
use crate::messages::{ListAnswer, ListRequest};

/// The time to start and end the process, in addition to the fetch.
const GRACE: Duration = Duration::from_secs(3);

/// The most characters of an error that are passed on.
const MOST_TOLD: usize = 2000;

/// The result of the fetch process.
#[derive(Debug)]
pub(super) enum Brought {
    /// The source still has the known list.
    Unchanged,
    /// A list that is not validated yet.
    List(PrefixList),
}

/// An error within the fetch process.
#[derive(Debug, thiserror::Error)]
enum FetchedError {
    #[error("{url}: {error}")]
    Fetch { url: ListUrl, error: FetchError },
    #[error("{url}{error}. The whole list is refused")]
    Document { url: ListUrl, error: DocumentError },
}

/// Starts a fetch process for the list at `url`, which must have the format `form`. `known` is the
/// ETag header of the current list, and `most_bytes` bounds the text. Blocks for the time limit of
/// a fetch plus a few seconds at most.
pub(super) fn fetch(
    launcher: &Launcher,
    url: &ListUrl,
    form: Form,
    known: Option<&str>,
    most_bytes: u64,
) -> Result<Brought, PrefixError> {
    let failed =
        |error: String| PrefixError::Errand { url: url.to_string(), error: printable(&error) };
    let broken = |error: ChannelError| failed(error.to_string());
    let (_confined, channel) = launcher
        .launch(ProcessRole::FetchList, NameLookup::Now)
        .map_err(|error| failed(error.to_string()))?;
    let request =
        ListRequest { url: url.to_string(), form, known: known.map(str::to_owned), most_bytes };
    // In the answer, a prefix takes at most twice the space that it takes in a list.
    let longest = usize::try_from(most_bytes).map_or(usize::MAX, |most| most.saturating_mul(2));
    let message = Message::of(&request).map_err(broken)?;
    channel::send(&channel, &message, &[]).map_err(|error| failed(error.to_string()))?;
    match channel::receive_until(&channel, longest, DEADLINE + GRACE).map_err(broken)? {
        ListAnswer::Unchanged if known.is_some() => Ok(Brought::Unchanged),
        ListAnswer::Unchanged => Err(failed("\"unchanged\", but no list was known".to_owned())),
        ListAnswer::List { prefixes, .. } if prefixes.is_empty() => {
            Err(failed("it answered with an empty list".to_owned()))
        }
        ListAnswer::List { prefixes, etag } => {
            // Untrusted input: parse every prefix as if it came from a file.
            let prefixes = prefixes.iter().map(|prefix| aop_types::parse_prefix(&prefix.to_string()));
            let prefixes = prefixes.collect::<Result<_, _>>().map_err(failed)?;
            Ok(Brought::List(PrefixList::new(prefixes, etag.map(|etag| shortened(&etag)))))
        }
        ListAnswer::Failed(told) => Err(PrefixError::Fetch(printable(&told))),
    }
}

/// An error text of the fetch process, safe for a terminal.
fn printable(told: &str) -> String {
    told.chars().filter(|c| !c.is_control()).take(MOST_TOLD).collect()
}

/// The work of the fetch process: one request, one answer.
pub fn run(channel: &UnixStream) -> Result<(), ChannelError> {
    let request: Option<ListRequest> = channel::receive(channel)?;
    let answer = answer(request.ok_or(ChannelError::Closed)?);
    Ok(channel::send(channel, &Message::of(&answer)?, &[])?)
}

fn answer(ListRequest { url, form, known, most_bytes }: ListRequest) -> ListAnswer {
    let url: ListUrl = match url.parse() {
        Ok(url) => url,
        Err(why) => return ListAnswer::Failed(why),
    };
    match get(url, form, known.as_deref(), most_bytes) {
        Ok(answer) => answer,
        Err(error) => ListAnswer::Failed(error.to_string()),
    }
}

fn get(
    url: ListUrl,
    form: Form,
    known: Option<&str>,
    most_bytes: u64,
) -> Result<ListAnswer, FetchedError> {
    let answer = match fetch::get(&url, known, most_bytes) {
        Ok(answer) => answer,
        Err(error) => return Err(FetchedError::Fetch { url, error }),
    };
    let (text, etag) = match answer {
        fetch::Answer::Unchanged => return Ok(ListAnswer::Unchanged),
        fetch::Answer::Text { text, etag } => (text, etag),
    };
    match document::read(&text, form) {
        Ok(list) => {
            Ok(ListAnswer::List { prefixes: list.prefixes().to_vec(), etag: list.etag.or(etag) })
        }
        Err(error) => Err(FetchedError::Document { url, error }),
    }
}
