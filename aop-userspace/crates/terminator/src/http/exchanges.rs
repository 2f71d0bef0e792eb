//! The open exchanges of a connection, by their numbers, their streams and their upstream
//! connections.

use std::ops::{Index, IndexMut};

use aop_http::{RequestHead, http2::StreamId};
use slab::Slab;

use super::{exchange::Exchange, limits};

/// Heads of ended requests whose memory is used again.
const SPARE_HEADS: usize = 16;

/// The open exchanges. Each has a number, which another has after its end.
#[derive(Default)]
pub(super) struct Exchanges {
    all: Slab<Exchange>,
    /// The number of each stream's exchange, sorted by the stream.
    by_stream: Vec<(StreamId, usize)>,
    /// The upstream connection and the number of each exchange that has one, the oldest first.
    by_connection: Vec<(usize, usize)>,
    /// Empty heads.
    spare: Vec<RequestHead>,
}

impl Exchanges {
    /// An empty head, for the next request.
    pub(super) fn spare_head(&mut self) -> RequestHead {
        self.spare.pop().unwrap_or_default()
    }

    /// Adds an exchange, and returns its number.
    pub(super) fn insert(&mut self, exchange: Exchange) -> usize {
        let stream = exchange.stream;
        let at = self.all.insert(exchange);
        // Identifiers of streams only grow: this is the end.
        let position = self.by_stream.partition_point(|(other, _)| *other < stream);
        self.by_stream.insert(position, (stream, at));
        at
    }

    pub(super) fn remove(&mut self, at: usize) -> Exchange {
        self.unbind(at);
        let mut exchange = self.all.remove(at);
        if let Some(position) = self.position(exchange.stream) {
            self.by_stream.remove(position);
        }
        if self.spare.len() < SPARE_HEADS {
            let mut head = std::mem::take(&mut exchange.request);
            head.clear();
            head.shrink(limits::KEPT_BUFFER);
            self.spare.push(head);
        }
        exchange
    }

    /// From now on an exchange uses the upstream connection `number`, and no other.
    pub(super) fn bind(&mut self, at: usize, number: usize) {
        self.unbind(at);
        if let Some(relay) = &mut self.all[at].relay {
            relay.connection = Some(number);
            self.by_connection.push((number, at));
        }
    }

    /// From now on an exchange uses no upstream connection. Returns the one that it used.
    pub(super) fn unbind(&mut self, at: usize) -> Option<usize> {
        let position = self.by_connection.iter().position(|(_, bound)| *bound == at)?;
        let (number, _) = self.by_connection.remove(position);
        if let Some(relay) = &mut self.all[at].relay {
            relay.connection = None;
        }
        Some(number)
    }

    /// The exchanges that use the upstream connection `number`.
    pub(super) fn of(&self, number: usize) -> impl Iterator<Item = usize> {
        let of = move |(bound, at): &(usize, usize)| (*bound == number).then_some(*at);
        self.by_connection.iter().filter_map(of)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Exchange> {
        self.all.get(at)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Exchange> {
        self.all.get_mut(at)
    }

    /// The number of the exchange of a stream.
    pub(super) fn find(&self, stream: StreamId) -> Option<usize> {
        self.position(stream).map(|position| self.by_stream[position].1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Exchange)> {
        self.all.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The number of the oldest exchange.
    pub(super) fn first(&self) -> Option<usize> {
        self.by_stream.first().map(|(_, at)| *at)
    }

    fn position(&self, stream: StreamId) -> Option<usize> {
        self.by_stream.binary_search_by_key(&stream, |(stream, _)| *stream).ok()
    }
}

impl Index<usize> for Exchanges {
    type Output = Exchange;

    fn index(&self, at: usize) -> &Exchange {
        &self.all[at]
    }
}

impl IndexMut<usize> for Exchanges {
    fn index_mut(&mut self, at: usize) -> &mut Exchange {
        &mut self.all[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(stream: u32) -> Exchange {
        Exchange::new(StreamId::new(stream), RequestHead::default(), 0)
    }

    #[test]
    fn an_exchange_is_found_by_its_stream_until_it_is_removed() {
        let mut exchanges = Exchanges::default();
        let numbers: Vec<usize> =
            [1, 3, 5, 9].map(|stream| exchanges.insert(exchange(stream))).to_vec();
        exchanges.remove(numbers[1]);
        // The number is used again.
        assert_eq!(exchanges.insert(exchange(11)), numbers[1]);
        let found = [1, 3, 5, 7, 9, 11].map(|stream| exchanges.find(StreamId::new(stream)));
        let [one, five, nine] = [numbers[0], numbers[2], numbers[3]].map(Some);
        assert_eq!(found, [one, None, five, None, nine, Some(numbers[1])]);
        assert_eq!(exchanges.first(), Some(numbers[0]));
    }

    #[test]
    fn a_head_that_is_used_again_is_empty() {
        let mut exchanges = Exchanges::default();
        let mut head = exchanges.spare_head();
        head.method.extend_from_slice(b"GET");
        head.fields.push(b"cookie", b"secret");
        let at = exchanges.insert(Exchange::new(StreamId::new(1), head, 0));
        exchanges.remove(at);
        assert_eq!(exchanges.spare_head(), RequestHead::default());
    }
}
