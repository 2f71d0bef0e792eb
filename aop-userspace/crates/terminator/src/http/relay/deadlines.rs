//! The deadlines of the exchanges: until a response begins, and between two bytes of it.
//!
//! One coarse clock serves all exchanges of a connection: no request sets a timer of its own.

use std::{io, time::Duration};

use aop_http::http2::ErrorCode;

use super::{HttpRelay, Peer, RelayEnd, upstreams::Slot};
use crate::http::{
    denial::Denial,
    exchange::{EndState, ResponseState, UploadState},
    limits,
    upstream::{Life, Reuse},
};

/// After its response, an application may leave the rest of the request unread for so long.
const UNREAD: Duration = Duration::from_secs(2);

impl HttpRelay {
    /// Ends the exchanges whose time is over.
    pub(crate) fn check_deadlines(&mut self, stall: Duration) {
        self.read_clock();
        self.check_upstreams();
        let all: Vec<usize> = self.exchanges.iter().map(|(at, _)| at).collect();
        for at in all {
            let Some(exchange) = self.exchanges.get(at) else { continue };
            let quiet = Duration::from_millis(self.now.saturating_sub(exchange.moved));
            match (exchange.response, &exchange.relay) {
                (ResponseState::Waiting, Some(relay)) if quiet >= relay.plan.timeouts.answer => {
                    // The next request takes another connection: this one may lead nowhere.
                    if let Some(number) = relay.connection
                        && let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number)
                    {
                        connection.reuse = Reuse::Forbidden;
                    }
                    self.deny(at, Denial::UpstreamLate);
                }
                // A tunnel may rest as long as both directions are open.
                (ResponseState::Begun, _) if exchange.is_resting_tunnel() => {}
                (ResponseState::Begun, _) if quiet >= stall => self.end_stalled(at),
                (ResponseState::Complete, Some(_)) if exchange.is_tunnel() => {
                    if quiet >= stall {
                        self.end_stalled(at);
                    }
                }
                // The application has answered, and reads no more.
                (ResponseState::Complete, Some(_)) if quiet >= UNREAD => {
                    self.release(at);
                    self.discard_upload(at);
                    self.remove_if_complete(at);
                }
                (ResponseState::Complete, _) if self.has_drained_enough(at) => {
                    let stream = self.exchanges[at].stream;
                    self.abort(at);
                    match &self.peer {
                        Peer::Http1(_) => self.last_words = Some(RelayEnd::Unread),
                        // The response is complete, and the rest of the request unwanted (RFC 9113,
                        // 8.1).
                        Peer::Http2(_) => self.peer.reset(stream, ErrorCode::NoError),
                    }
                }
                (ResponseState::Waiting | ResponseState::Begun | ResponseState::Complete, _) => {}
            }
        }
    }

    /// Ends the connections of upstreams that do not answer a PING. Their requests may be sent
    /// again.
    fn check_upstreams(&mut self) {
        let all: Vec<usize> = self.slots.iter().map(|(number, _)| number).collect();
        for number in all {
            // It may have answered: nothing is read from it while the peer takes nothing.
            if self.ready.is_marked(number) {
                continue;
            }
            let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) else { continue };
            match connection.check_life(self.now) {
                Life::Assumed => {}
                Life::Asked => self.dirty.push(number),
                Life::Gone => {
                    self.on_upstream_end(number, Some(&io::ErrorKind::TimedOut.into()));
                }
            }
        }
    }

    /// Ends a response that makes no progress.
    fn end_stalled(&mut self, at: usize) {
        let stream = self.exchanges[at].stream;
        self.abort_for(at, Denial::Stalled, None);
        match &self.peer {
            Peer::Http1(_) => self.last_words = Some(RelayEnd::Stalled),
            Peer::Http2(_) => self.peer.reset(stream, ErrorCode::Cancel),
        }
    }

    /// Whether so much of a request's body was discarded after the response that the rest is not
    /// read.
    pub(super) fn has_drained_enough(&self, at: usize) -> bool {
        let exchange = &self.exchanges[at];
        let time = self.now.saturating_sub(exchange.completed);
        let quiet = self.now.saturating_sub(exchange.moved);
        exchange.response == ResponseState::Complete
            && exchange.upload.state == UploadState::Open
            && exchange.upload.end == EndState::Discarded
            && (exchange.upload.discarded > limits::DRAINED_BYTES
                || u128::from(time) > limits::DRAINED_FOR.as_millis()
                || u128::from(quiet) > limits::DRAINED_QUIET.as_millis())
    }
}
