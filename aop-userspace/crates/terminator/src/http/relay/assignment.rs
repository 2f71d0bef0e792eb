//! Which upstream connection an exchange uses, and what becomes of the connection after it.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use aop_config::HttpVersion;
use aop_http::{
    BodyLength,
    http2::{End, ErrorCode},
};

use super::{HttpRelay, uploads::write_head, upstreams::Slot};
use crate::http::{
    exchange::{EndState, ResponseState},
    upstream::{Close, Codec, Reuse},
};

impl HttpRelay {
    /// Gives an exchange an upstream connection: one of this task that has room, an idle one of the
    /// pool, or a new one.
    pub(super) fn assign(&mut self, at: usize, context: &mut Context<'_>) {
        let Some(relay) = &mut self.exchanges[at].relay else { return };
        let version = relay.plan.pool.upstream.version;
        let header = relay.plan.header.take();
        let pool = relay.plan.pool.clone();
        if version == HttpVersion::H2c
            && let Some(number) = self.shared_slot(at)
        {
            self.attach(at, number);
            return;
        }
        // Only an unused connection can carry a PROXY header.
        if header.is_none()
            && let Some(connection) = pool.take(context)
        {
            let number = self.insert_slot(|waker| Slot::Open { connection, waker, pool });
            self.attach(at, number);
            return;
        }
        self.connect(at, header);
    }

    /// Opens a new upstream connection for an exchange.
    pub(super) fn connect(&mut self, at: usize, header: Option<Vec<u8>>) {
        let Some(relay) = &mut self.exchanges[at].relay else { return };
        let version = relay.plan.pool.upstream.version;
        let reuse = if header.is_none() { Reuse::Allowed } else { Reuse::Forbidden };
        let header = header.unwrap_or_default();
        let pool = relay.plan.pool.clone();
        let connecting = pool.connect(relay.plan.timeouts.connect, header);
        let number =
            self.insert_slot(|waker| Slot::Connecting { connecting, version, reuse, waker, pool });
        self.exchanges.bind(at, number);
        self.ready.mark(number);
    }

    /// Gives an exchange another connection than those that have no room for it: one that is being
    /// opened, or a new one.
    pub(super) fn assign_elsewhere(&mut self, at: usize) {
        match self.shared_slot(at) {
            Some(number) => self.attach(at, number),
            None => self.connect(at, None),
        }
    }

    /// Removes an upstream connection. No exchange uses it any more.
    pub(super) fn remove_slot(&mut self, number: usize) -> Option<Slot> {
        for at in self.exchanges_of(number) {
            self.exchanges.unbind(at);
        }
        self.slots.try_remove(number)
    }

    fn insert_slot(&mut self, make: impl FnOnce(Waker) -> Slot) -> usize {
        let entry = self.slots.vacant_entry();
        let number = entry.key();
        if self.wakers.len() == number {
            self.wakers.push(self.ready.waker(number));
        }
        entry.insert(make(self.wakers[number].clone()));
        number
    }

    /// An HTTP/2 connection of this task to the same upstream that can take another stream, or is
    /// still being opened.
    fn shared_slot(&self, at: usize) -> Option<usize> {
        let own = self.exchanges[at].relay.as_ref()?;
        let same = self.exchanges.iter().filter_map(|(_, exchange)| {
            let relay = exchange.relay.as_ref()?;
            Arc::ptr_eq(&relay.plan.pool, &own.plan.pool).then_some(relay.connection?)
        });
        let mut candidates = same.filter(|number| match self.slots.get(*number) {
            Some(Slot::Connecting { .. }) => true,
            Some(Slot::Open { connection, .. }) => match &connection.codec {
                Codec::Http2(codec) => connection.reuse == Reuse::Allowed && codec.can_open(),
                Codec::Http1(_) => false,
            },
            None => false,
        });
        candidates.next()
    }

    /// Sends the head of an exchange over the connection `number`, as soon as that is open.
    pub(super) fn attach(&mut self, at: usize, number: usize) {
        self.exchanges.bind(at, number);
        let exchange = &mut self.exchanges[at];
        let Some(relay) = &mut exchange.relay else { return };
        self.ready.mark(number);
        let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) else { return };
        match &mut connection.codec {
            Codec::Http1(reader) => {
                reader.expect(&exchange.request.method);
                if connection.output.is_empty() {
                    write_head(&mut connection.output, exchange);
                }
            }
            Codec::Http2(codec) => {
                // How many streams the upstream allows is known with its SETTINGS. Until then one
                // request alone is sent; the others wait.
                let idle = codec.open_streams() == 0;
                if !(codec.has_settings() || idle) {
                    return;
                }
                let empty = exchange.request.body == BodyLength::Empty;
                let end = if empty { End::Yes } else { End::No };
                let Some(stream) = codec.open(&exchange.request, end) else {
                    // An upstream that allows no stream now may allow one later.
                    if !idle || codec.is_shut_down() {
                        self.exchanges.unbind(at);
                        self.released.push(number);
                        self.assign_elsewhere(at);
                    }
                    return;
                };
                relay.upstream_stream = Some(stream);
                if empty {
                    exchange.upload.end = EndState::Sent;
                }
            }
        }
        self.dirty.push(number);
        self.push_upload(at, &[]);
    }

    /// The exchanges that use the connection `number`.
    pub(super) fn exchanges_of(&self, number: usize) -> Vec<usize> {
        self.exchanges.of(number).collect()
    }

    /// The exchange that uses the HTTP/1.1 connection `number`.
    pub(super) fn exchange_of(&self, number: usize) -> Option<usize> {
        self.exchanges.of(number).next()
    }

    /// Separates an exchange from its upstream connection. [`HttpRelay::settle_released`] decides
    /// what becomes of the connection, once the bytes at hand are parsed.
    pub(super) fn release(&mut self, at: usize) {
        let number = self.exchanges.unbind(at);
        let exchange = &mut self.exchanges[at];
        let Some(relay) = exchange.relay.take() else { return };
        let Some(number) = number else { return };
        let sent = exchange.upload.end == EndState::Sent;
        let complete = exchange.response == ResponseState::Complete;
        let held = exchange.held.len();
        if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number) {
            match (&mut connection.codec, relay.upstream_stream) {
                (Codec::Http2(codec), Some(stream)) => {
                    codec.consumed(stream, held);
                    if !(sent && complete) {
                        let code = if complete { ErrorCode::NoError } else { ErrorCode::Cancel };
                        codec.reset(stream, code);
                    }
                    self.dirty.push(number);
                }
                (Codec::Http2(_), None) => {}
                (Codec::Http1(_), _) => {
                    if !(sent && complete) {
                        connection.reuse = Reuse::Forbidden;
                    }
                    if !sent {
                        // The upstream must not take the request for a complete one.
                        connection.close = Close::Reset;
                    }
                }
            }
        }
        self.released.push(number);
    }

    /// Forgets the stream of an exchange that the upstream has ended. The exchange may be sent
    /// again.
    pub(super) fn forget_stream(&mut self, at: usize) {
        let number = self.exchanges.unbind(at);
        let exchange = &mut self.exchanges[at];
        let Some(relay) = &mut exchange.relay else { return };
        let stream = relay.upstream_stream.take();
        let Some(number) = number else { return };
        if let Some(Slot::Open { connection, .. }) = self.slots.get_mut(number)
            && let (Codec::Http2(codec), Some(stream)) = (&mut connection.codec, stream)
        {
            codec.consumed(stream, exchange.held.len());
            self.dirty.push(number);
        }
        self.released.push(number);
    }

    /// Returns connections that no exchange uses any more to their pools, or closes them. All
    /// bytes that were read are parsed, or are kept in the connection.
    pub(super) fn settle_released(&mut self) {
        while let Some(number) = self.released.pop() {
            if self.exchange_of(number).is_some() {
                continue;
            }
            if let Some(Slot::Open { connection, waker, .. }) = self.slots.get_mut(number)
                && matches!(connection.codec, Codec::Http2(_))
            {
                // Frames that wait are few; a connection that does not take them is not kept.
                let mut context = Context::from_waker(waker);
                if connection.poll_write(&mut context).is_pending() {
                    connection.reuse = Reuse::Forbidden;
                }
            }
            match self.remove_slot(number) {
                Some(Slot::Open { connection, pool, .. }) => match connection.can_rest() {
                    true => pool.put(connection),
                    false => connection.close(),
                },
                Some(Slot::Connecting { .. }) | None => {}
            }
        }
    }
}
