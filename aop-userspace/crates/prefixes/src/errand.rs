//! Fetching a list in a process without privilege, which lives as long as that takes.
//!
//! Whoever can answer for a list gets to a parser of HTTP, TLS and JSON, and to nothing else: what
//! comes back is prefixes, an etag and a text, and is judged here as if it had come from anybody.

use std::{os::unix::net::UnixStream, time::Duration};

use aop_config::ListUrl;
use aop_sandbox::{
    Launcher, Names, Verb,
    channel::{self, ChannelError, Message},
};

use super::{
    Form, List, PrefixError,
    document::{self, DocumentError, shortened},
    fetch::{self, DEADLINE, FetchError},
};
use crate::messages::{ListAnswer, ListRequest};

/// For the process to begin and to end, beside the fetch.
const GRACE: Duration = Duration::from_secs(3);

/// The longest word of an etag or an error that is passed on.
const MOST_TOLD: usize = 2000;

/// What the process brings back.
#[derive(Debug)]
pub(super) enum Brought {
    /// The list that is known is still the one.
    Unchanged,
    /// A list, yet to be judged.
    List(List),
}

/// What goes wrong in the process that fetches.
#[derive(Debug, thiserror::Error)]
enum FetchedError {
    #[error("{url}: {error}")]
    Fetch { url: ListUrl, error: FetchError },
    #[error("{url}{error}. The whole list is refused")]
    Document { url: ListUrl, error: DocumentError },
}

/// Has the list at `url` fetched, which must look like `form`; `known` is the ETag header of the one
/// that is held, `most_bytes` bounds the text. Blocks for some seconds more than a fetch may take at most.
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
    let (_confined, channel) =
        launcher.launch(Verb::FetchList, Names::Now).map_err(|error| failed(error.to_string()))?;
    let request =
        ListRequest { url: url.to_string(), form, known: known.map(str::to_owned), most_bytes };
    // A prefix takes no more than twice the room in an answer that it takes in any list.
    let longest = usize::try_from(most_bytes).map_or(usize::MAX, |most| most.saturating_mul(2));
    let message = Message::of(&request).map_err(broken)?;
    channel::send(&channel, &message, &[]).map_err(|error| failed(error.to_string()))?;
    match channel::receive_until(&channel, longest, DEADLINE + GRACE).map_err(broken)? {
        ListAnswer::Unchanged if known.is_some() => Ok(Brought::Unchanged),
        ListAnswer::Unchanged => Err(failed("an unknown list cannot be unchanged".to_owned())),
        ListAnswer::List { prefixes, .. } if prefixes.is_empty() => {
            Err(failed("a list without a prefix".to_owned()))
        }
        ListAnswer::List { prefixes, etag } => {
            // Every prefix as if it had been written in a file: valid, and wide enough to be one.
            let prefixes = prefixes.iter().map(|prefix| aop_types::parse(&prefix.to_string()));
            let prefixes = prefixes.collect::<Result<_, _>>().map_err(failed)?;
            Ok(Brought::List(List::new(prefixes, etag.map(|etag| shortened(&etag)))))
        }
        ListAnswer::Failed(told) => Err(PrefixError::Fetch(printable(&told))),
    }
}

/// What that process may have put into an error, for a terminal.
fn printable(told: &str) -> String {
    told.chars().filter(|c| !c.is_control()).take(MOST_TOLD).collect()
}

/// What that process does: one request, one answer.
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
