//! One HTTP request for a list, and the checks that its answer must pass before it is parsed.
//!
//! The answer must be a plain 200 of known length. Redirects are not followed: in 2022 a redirect
//! led to empty lists, and tools applied them. Blocks for ten seconds at most.

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read},
    time::Duration,
};

use aop_config::ListUrl;
use aop_https::{
    Body,
    http::{HeaderMap, Response, StatusCode, header},
};

use crate::{EtagText, ShortText};

/// The time limit of name resolution, connection, handshake and the whole answer together.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The answer of the source.
#[derive(Debug)]
pub(super) enum FetchResponse {
    /// 304: the known list is still current.
    NotModified,
    /// 200 with a text.
    Body {
        /// The text, not parsed.
        text: String,
        /// The ETag header.
        etag: Option<EtagText>,
    },
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Name resolution, connection, TLS or HTTP failed.
    #[error("cannot fetch the list: {0}")]
    Transport(ShortText),
    /// The time limit passed.
    #[error("no complete answer within {} s", DEADLINE.as_secs())]
    Slow,
    /// A redirect.
    #[error("redirected to {to}; redirects are not followed")]
    Redirect {
        /// The target.
        to: ShortText,
    },
    /// The status is not 200.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer is larger than any list of this source.
    #[error("the answer is over {} KiB", .most / 1024)]
    TooLarge {
        /// The limit, in bytes.
        most: u64,
    },
    /// The answer ends with the connection, so a truncated one would look complete.
    #[error("the answer does not state its length, so truncation could not be detected")]
    NoLength,
    /// The connection ended before the answer.
    #[error("the answer was truncated: {got} of {announced} bytes")]
    Cut {
        /// Bytes that arrived.
        got: u64,
        /// Bytes that were announced.
        announced: String,
    },
    /// The answer is compressed, although that was not requested.
    #[error("the answer is encoded as \"{0}\", which was not requested")]
    Encoded(ShortText),
    /// The answer is an HTML page.
    #[error("the answer is \"{0}\": an HTML page, not a list")]
    Page(ShortText),
    /// The answer is not UTF-8.
    #[error("the answer is not text")]
    NotText,
}

/// Requests `url`, for at most `most` bytes. With `known`, an ETag header that the source sent
/// earlier, the answer may be [`FetchResponse::NotModified`].
pub(super) fn get(
    url: &ListUrl,
    known: Option<&str>,
    most: u64,
) -> Result<FetchResponse, FetchError> {
    let client = aop_https::client(url, DEADLINE);
    let mut request =
        client.get(url.as_str()).header(header::ACCEPT, "application/json, text/plain");
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    let mut response = request.call().map_err(transport_error)?;
    if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
        return Ok(FetchResponse::NotModified);
    }
    check_headers(&response, most)?;
    let etag = header_text(response.headers(), &header::ETAG).map(EtagText::new);
    let text =
        String::from_utf8(body(response.body_mut(), most)?).map_err(|_| FetchError::NotText)?;
    Ok(FetchResponse::Body { text, etag })
}

fn check_headers(response: &Response<Body>, most: u64) -> Result<(), FetchError> {
    let (status, headers) = (response.status(), response.headers());
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        let to = ShortText::new(header_text(headers, &header::LOCATION).unwrap_or("nowhere"));
        return Err(FetchError::Redirect { to });
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    if let Some(coding) =
        header_text(headers, &header::CONTENT_ENCODING).filter(|name| *name != "identity")
    {
        return Err(FetchError::Encoded(ShortText::new(coding)));
    }
    let content_type = header_text(headers, &header::CONTENT_TYPE);
    if let Some(page) = content_type.filter(|kind| kind.contains("html")) {
        return Err(FetchError::Page(ShortText::new(page)));
    }
    if response.body().content_length().is_some_and(|length| length > most) {
        return Err(FetchError::TooLarge { most });
    }
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let ends_by_itself = chunked || headers.contains_key(header::CONTENT_LENGTH);
    if ends_by_itself { Ok(()) } else { Err(FetchError::NoLength) }
}

fn body(body: &mut Body, most: u64) -> Result<Vec<u8>, FetchError> {
    let announced = body.content_length();
    let mut bytes = Vec::new();
    let read = body.as_reader().take(most + 1).read_to_end(&mut bytes);
    let got = bytes.len() as u64;
    if got > most {
        return Err(FetchError::TooLarge { most });
    }
    let cut = || FetchError::Cut {
        got,
        announced: announced.map_or("an unknown number of".to_owned(), |length| length.to_string()),
    };
    match read.map_err(aop_https::Error::from) {
        Err(aop_https::Error::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(cut())
        }
        Err(error) => Err(transport_error(error)),
        Ok(_) if announced.is_some_and(|length| length != got) => Err(cut()),
        Ok(_) => Ok(bytes),
    }
}

fn transport_error(error: aop_https::Error) -> FetchError {
    if matches!(error, aop_https::Error::Timeout(_)) {
        FetchError::Slow
    } else {
        FetchError::Transport(ShortText::new(&error.to_string()))
    }
}

/// The value of a header, if it is printable.
fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
