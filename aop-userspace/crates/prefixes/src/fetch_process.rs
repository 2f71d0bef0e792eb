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
use aop_types::parse_prefix;

use crate::{
    ErrorText, EtagText, PrefixError, PrefixList,
    document::{self, DocumentError, ListFormat},
    fetch::{self, DEADLINE, FetchError, FetchResponse},
    messages::{FetchReply, FetchRequest},
};

/// The time to start and end the process, in addition to the fetch.
const GRACE: Duration = Duration::from_secs(3);

/// The result of the fetch process.
#[derive(Debug)]
pub(super) enum FetchResult {
    /// The source still has the known list.
    Unchanged,
    /// A list that is not validated yet.
    List(PrefixList),
}

/// An error within the fetch process.
#[derive(Debug, thiserror::Error)]
enum ReplyError {
    #[error("{}: {error}", .url.as_str())]
    Fetch { url: ListUrl, error: FetchError },
    #[error("{}{error}. The whole list is refused", .url.as_str())]
    Document { url: ListUrl, error: DocumentError },
}

/// Starts a fetch process for the list at `url`, which must have this `format`. `etag` is the ETag
/// header of the current list, and `max_bytes` bounds the text. Blocks for the time limit of a
/// fetch plus a few seconds at most.
pub(super) fn fetch(
    launcher: &Launcher,
    url: &ListUrl,
    format: ListFormat,
    etag: Option<&str>,
    max_bytes: u64,
) -> Result<FetchResult, PrefixError> {
    let failed = |error: String| PrefixError::FetchProcess {
        url: url.to_string(),
        error: ErrorText::new(&error).into_string(),
    };
    let broken = |error: ChannelError| failed(error.to_string());
    let (_process, channel) = launcher
        .launch(ProcessRole::FetchList, NameLookup::AtStart)
        .map_err(|error| failed(error.to_string()))?;
    let request =
        FetchRequest { url: url.to_string(), format, etag: etag.map(str::to_owned), max_bytes };
    // In the answer, a prefix takes at most twice the space that it takes in a list.
    let longest = usize::try_from(max_bytes).map_or(usize::MAX, |most| most.saturating_mul(2));
    let message = Message::new(&request).map_err(broken)?;
    channel::send(&channel, &message, &[]).map_err(|error| failed(error.to_string()))?;
    match channel::receive_until(&channel, longest, DEADLINE + GRACE).map_err(broken)? {
        FetchReply::Unchanged if etag.is_some() => Ok(FetchResult::Unchanged),
        FetchReply::Unchanged => Err(failed("\"unchanged\", but no list was known".to_owned())),
        FetchReply::List { prefixes, .. } if prefixes.is_empty() => {
            Err(failed("it answered with an empty list".to_owned()))
        }
        FetchReply::List { prefixes, etag } => {
            // Untrusted input: parse every prefix as if it came from a file.
            let prefixes = prefixes.iter().map(|prefix| parse_prefix(&prefix.to_string()));
            let prefixes = prefixes.collect::<Result<_, _>>().map_err(failed)?;
            Ok(FetchResult::List(PrefixList::new(prefixes, etag.map(EtagText::into_string))))
        }
        FetchReply::Failed(why) => Err(PrefixError::Fetch(why.into_string())),
    }
}

/// The work of the fetch process: one request from `channel`, one answer. The process must have a
/// default provider of rustls, and should have dropped all privileges.
///
/// # Errors
/// The channel fails. A list that cannot be fetched is an answer.
pub fn run(channel: &UnixStream) -> Result<(), ChannelError> {
    let request: Option<FetchRequest> = channel::receive(channel)?;
    let reply = reply(request.ok_or(ChannelError::Closed)?);
    Ok(channel::send(channel, &Message::new(&reply)?, &[])?)
}

fn reply(FetchRequest { url, format, etag, max_bytes }: FetchRequest) -> FetchReply {
    let failed = |why: String| FetchReply::Failed(ErrorText::new(&why));
    let url: ListUrl = match url.parse() {
        Ok(url) => url,
        Err(why) => return failed(why),
    };
    get(url, format, etag.as_deref(), max_bytes).unwrap_or_else(|error| failed(error.to_string()))
}

fn get(
    url: ListUrl,
    format: ListFormat,
    etag: Option<&str>,
    max_bytes: u64,
) -> Result<FetchReply, ReplyError> {
    let response = match fetch::get(&url, etag, max_bytes) {
        Ok(response) => response,
        Err(error) => return Err(ReplyError::Fetch { url, error }),
    };
    let (text, header) = match response {
        FetchResponse::NotModified => return Ok(FetchReply::Unchanged),
        FetchResponse::Body { text, etag } => (text, etag),
    };
    match document::parse(&text, format) {
        Ok(list) => {
            let etag = list.etag.as_deref().map(EtagText::new).or(header);
            Ok(FetchReply::List { prefixes: list.prefixes().to_vec(), etag })
        }
        Err(error) => Err(ReplyError::Document { url, error }),
    }
}
