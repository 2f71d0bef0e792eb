//! The sending side: heads, bodies, trailers.
//!
//! Everything goes to the end of the output at once. A header block is written in place behind its
//! frame header; one that is longer than a frame is split afterwards (RFC 9113, 6.10). DATA never
//! exceeds the peer's windows (RFC 9113, 6.9).

use super::{
    Connection, End, ErrorCode, ExtendedConnect, StreamId,
    connection::Role,
    frame::{self, Kind},
    past::PastState,
    streams::{Method, Receiving, Sending, Standing, Stream},
    window::{ReceiveWindow, SendWindow},
};
use crate::{
    fields::Fields,
    hpack::Encoder,
    message::{RequestHead, ResponseHead},
};

impl Connection {
    /// Sends the head of a response. Interim ones go before the final one. On a stream that waits
    /// for no response, nothing happens.
    pub fn respond(&mut self, stream: StreamId, response: &ResponseHead, end: End) {
        let Some(open) = self.streams.get_mut(stream) else { return };
        if self.role == Role::Client || open.sending != Sending::Head {
            return;
        }
        let end = if response.is_interim() { End::No } else { end };
        if !response.is_interim() {
            open.sending = Sending::Body;
        }
        self.write_block(stream, end, |encoder, output| {
            encoder.status(output, response.status);
            write_fields(encoder, output, &response.fields);
        });
    }

    /// Whether the peer's settings have arrived: until then its limits are unknown.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        self.peer.has_arrived()
    }

    /// Whether a client can open a stream now.
    #[must_use]
    pub fn can_open(&self) -> bool {
        let most = self.peer.max_streams().min(self.config.max_streams) as usize;
        self.role == Role::Client
            && !self.is_departing()
            && self.streams.len() < most
            && self.past.next().is_some()
    }

    /// Whether the server takes extended CONNECT (RFC 8441), as far as its settings have arrived.
    #[must_use]
    pub fn can_connect_extended(&self) -> bool {
        self.peer.extended_connect == ExtendedConnect::Accepted
    }

    /// Sends the head of a request on a new stream. `None`: no stream can be opened now. A request
    /// without a scheme is sent with `http`.
    pub fn open(&mut self, request: &RequestHead, end: End) -> Option<StreamId> {
        let extended = !request.protocol.is_empty();
        if !self.can_open() || extended && !self.can_connect_extended() {
            return None;
        }
        let id = self.past.next()?;
        self.past.open(id);
        self.streams.push(Stream {
            id,
            receiving: Receiving::Head,
            sending: Sending::Body,
            standing: Standing::Sound,
            method: Method::new(&request.method),
            send_window: SendWindow::new(self.peer.initial_window),
            receive_window: ReceiveWindow::new(self.config.stream_window),
            length: None,
        });
        self.write_block(id, end, |encoder, output| {
            let scheme = match request.scheme.is_empty() {
                // RFC 9113, 8.5.
                true if request.method == b"CONNECT" && !extended => &[][..],
                true => b"http",
                false => &request.scheme,
            };
            let parts = [
                (&b":method"[..], &request.method[..]),
                (b":scheme", scheme),
                (b":authority", &request.authority),
                (b":path", &request.path),
                (b":protocol", &request.protocol),
            ];
            for (name, value) in parts {
                if !value.is_empty() {
                    encoder.field(output, name, value);
                }
            }
            write_fields(encoder, output, &request.fields);
        });
        Some(id)
    }

    /// The number of bytes that [`Connection::send_data`] takes now.
    #[must_use]
    pub fn capacity(&self, stream: StreamId) -> usize {
        match self.streams.get(stream) {
            Some(open) if open.sending != Sending::Ended => {
                open.send_window.available().min(self.send_window.available())
            }
            Some(_) | None => 0,
        }
    }

    /// Sends the front of `bytes`, as much as the peer's windows take, and returns how much that
    /// is. The side ends only if all was taken. Before the head of a response and after the end,
    /// nothing is taken.
    pub fn send_data(&mut self, stream: StreamId, bytes: &[u8], end: End) -> usize {
        let Some(open) = self.streams.get_mut(stream) else { return 0 };
        if open.sending != Sending::Body {
            return 0;
        }
        let most = open.send_window.available().min(self.send_window.available());
        let taken = bytes.len().min(most);
        let ends = end.is_yes() && taken == bytes.len();
        if taken == 0 && !ends {
            return 0;
        }
        open.send_window.take(taken);
        self.send_window.take(taken);
        let frames = taken / frame::DATA_PART + 1;
        self.output.reserve(taken + frames * frame::HEADER);
        let mut rest = &bytes[..taken];
        loop {
            // Data that arrived as one frame leaves as one.
            let length = if rest.len() > frame::LONGEST { frame::DATA_PART } else { rest.len() };
            let (part, behind) = rest.split_at(length);
            let last = ends && behind.is_empty();
            let flags = if last { frame::END_STREAM } else { 0 };
            frame::write_header(&mut self.output, part.len(), Kind::Data, flags, stream);
            self.output.extend_from_slice(part);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        if ends {
            self.end_sending(stream);
        }
        taken
    }

    /// Ends the message with trailer fields, which may be none.
    pub fn send_trailers(&mut self, stream: StreamId, trailers: &Fields) {
        if trailers.is_empty() {
            self.send_data(stream, &[], End::Yes);
        } else if self.streams.get(stream).is_some_and(|open| open.sending == Sending::Body) {
            self.write_block(stream, End::Yes, |encoder, output| {
                write_fields(encoder, output, trailers);
            });
        }
    }

    /// Writes a header block in HEADERS and CONTINUATION.
    fn write_block(
        &mut self,
        stream: StreamId,
        end: End,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let output = &mut self.output;
        let start = output.len();
        output.extend_from_slice(&[0; frame::HEADER]);
        self.encoder.begin(output);
        write(&mut self.encoder, output);
        let length = output.len() - start - frame::HEADER;
        let end_stream = if end.is_yes() { frame::END_STREAM } else { 0 };
        let first = length.min(frame::LONGEST);
        let end_headers = if first == length { frame::END_HEADERS } else { 0 };
        let header = frame::header(first, Kind::Headers, end_stream | end_headers, stream);
        output[start..start + frame::HEADER].copy_from_slice(&header);
        if first < length {
            let behind = output.split_off(start + frame::HEADER + first);
            let mut parts = behind.chunks(frame::LONGEST).peekable();
            while let Some(part) = parts.next() {
                let flags = if parts.peek().is_none() { frame::END_HEADERS } else { 0 };
                frame::write_header(output, part.len(), Kind::Continuation, flags, stream);
                output.extend_from_slice(part);
            }
        }
        if end.is_yes() {
            self.end_sending(stream);
        }
    }

    /// This side of a stream has ended. If its request was malformed, nothing more is expected of
    /// it (RFC 9113, 8.1.1): a peer that still sends is told to stop without an error, so that it
    /// reads the response.
    fn end_sending(&mut self, stream: StreamId) {
        let Some(open) = self.streams.get_mut(stream) else { return };
        open.sending = Sending::Ended;
        match (open.standing, open.receiving) {
            (Standing::Sound, _) => self.remove_if_complete(stream),
            (Standing::Malformed, Receiving::Ended) => {
                self.reset(stream, ErrorCode::ProtocolError);
            }
            (Standing::Malformed, _) => self.reset(stream, ErrorCode::NoError),
        }
    }

    /// Removes a stream if both sides have ended.
    pub(super) fn remove_if_complete(&mut self, stream: StreamId) {
        if self.streams.get(stream).is_some_and(Stream::is_complete) {
            self.streams.remove(stream);
            self.past.close(stream, PastState::Complete);
        }
    }
}

impl Stream {
    fn is_complete(&self) -> bool {
        self.receiving == Receiving::Ended && self.sending == Sending::Ended
    }
}

fn write_fields(encoder: &mut Encoder, output: &mut Vec<u8>, fields: &Fields) {
    for field in fields.iter() {
        encoder.field(output, field.name, field.value);
    }
}
