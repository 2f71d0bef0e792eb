//! The readers, by the events that they give.

mod properties;
mod requests;
mod responses;
mod server;

use super::{MessageEvent, RequestReader, ResponseReader};
use crate::{Fault, Fields, Malformed, RequestHead, ResponseHead};

/// A message as a reader gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message<H> {
    head: H,
    body: Vec<u8>,
    trailers: Fields,
    end: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    Complete,
}

/// The events that a reader gives for its input.
type Given<H> = (Vec<Message<H>>, Option<Malformed>);

fn add<H>(
    messages: &mut Vec<Message<H>>,
    event: MessageEvent<'_>,
    head: impl FnOnce() -> H,
    trailers: &Fields,
) {
    if event == MessageEvent::Head {
        assert!(messages.last().is_none_or(|last| last.end == Ending::Complete), "an end is due");
        assert!(trailers.is_empty(), "trailers of an earlier message");
        let (body, trailers) = (Vec::new(), Fields::default());
        messages.push(Message { head: head(), body, trailers, end: Ending::Open });
        return;
    }
    let last = messages.last_mut().expect("a head comes first");
    assert_eq!(last.end, Ending::Open);
    match event {
        MessageEvent::Head => {}
        MessageEvent::Data(data) => {
            assert!(!data.is_empty());
            last.body.extend_from_slice(data);
        }
        MessageEvent::End => {
            last.end = Ending::Complete;
            last.trailers = trailers.clone();
        }
    }
}

/// The requests in `pieces`, and the fault at their end.
fn requests<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Given<RequestHead> {
    let (mut reader, mut messages) = (RequestReader::new(), Vec::new());
    for piece in pieces {
        let mut input = piece;
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => {
                    // The caller may exchange the head at once.
                    let head =
                        (event == MessageEvent::Head).then(|| std::mem::take(reader.request_mut()));
                    add(&mut messages, event, || head.unwrap(), reader.trailers());
                }
                Ok(None) => break,
                Err(malformed) => return (messages, Some(malformed)),
            }
        }
        assert!(input.is_empty(), "without an event, all input is consumed");
    }
    (messages, None)
}

/// The responses in `pieces` to requests with these methods, and the reader after them.
fn responses<'a>(
    methods: &[&str],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Given<ResponseHead>, ResponseReader) {
    let (mut reader, mut messages) = (ResponseReader::new(), Vec::new());
    let mut methods = methods.iter().map(|method| method.as_bytes());
    reader.expect(methods.next().unwrap_or(b"GET"));
    for piece in pieces {
        let mut input = piece;
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => {
                    let head = (event == MessageEvent::Head)
                        .then(|| std::mem::take(reader.response_mut()));
                    add(&mut messages, event, || head.unwrap(), reader.trailers());
                    let last = messages.last().unwrap();
                    if last.end == Ending::Complete && !last.head.is_interim() {
                        reader.expect(methods.next().unwrap_or(b"GET"));
                    }
                }
                Ok(None) => break,
                Err(malformed) => return ((messages, Some(malformed)), reader),
            }
        }
    }
    ((messages, None), reader)
}

/// The requests in `text`, all complete.
fn read_requests(text: &str) -> Vec<Message<RequestHead>> {
    let (messages, malformed) = requests([text.as_bytes()]);
    assert_eq!(malformed, None, "{text:?}");
    assert!(messages.iter().all(|message| message.end == Ending::Complete), "{text:?}");
    messages
}

fn request(text: &str) -> Message<RequestHead> {
    read_requests(text).into_iter().next().expect("a request")
}

/// The rule that the requests in `text` break.
fn fault(text: &str) -> Option<Fault> {
    requests([text.as_bytes()]).1.map(|malformed| malformed.fault)
}

/// The first response in `text` to a request with this method.
fn response(method: &str, text: &str) -> Message<ResponseHead> {
    let ((messages, malformed), _) = responses(&[method], [text.as_bytes()]);
    assert_eq!(malformed, None, "{text:?}");
    messages.into_iter().next().expect("a response")
}

/// Names and values, for comparisons.
fn listed(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    fields.iter().map(|field| (text(field.name), text(field.value))).collect()
}
