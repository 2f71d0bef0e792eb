//! The pools of idle connections, and the bounds on open requests and tunnels of each upstream.

use std::{
    collections::HashMap, future::Future, pin::Pin, sync::Arc, task::Context, time::Duration,
};

use aop_config::{HttpConfig, HttpUpstream};
use aop_tls::Warrant;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::UpstreamConnection;
use crate::{
    http::{denial::Denial, limits},
    upstream::{UpstreamStream, connect_with_header, lacks_descriptors},
};

/// The interval of removing expired connections.
const EVICT_INTERVAL: Duration = Duration::from_secs(5);

/// The pools of all upstreams, for one worker.
pub(crate) struct Pools {
    pools: Mutex<HashMap<PoolKey, Arc<Pool>>>,
    slots: Arc<UpstreamSlots>,
}

/// An upstream, and its largest numbers of open requests and tunnels.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    upstream: HttpUpstream,
    requests: usize,
    tunnels: usize,
}

/// The bounds on open requests and tunnels of each upstream, shared by all workers.
#[derive(Default)]
pub(crate) struct UpstreamSlots(Mutex<HashMap<PoolKey, Slots>>);

/// One permit for each request, and one for each tunnel.
#[derive(Clone)]
struct Slots {
    requests: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
}

/// The kind of slot that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum SlotKind {
    Request,
    /// A WebSocket or an event stream, which lasts long.
    Tunnel,
}

/// The number of open requests or tunnels at an upstream, and the bound on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotUsage {
    /// How many are open.
    pub open: usize,
    /// How many may be open.
    pub limit: usize,
}

/// The idle connections to one upstream.
pub(in crate::http) struct Pool {
    pub(in crate::http) upstream: HttpUpstream,
    slots: Slots,
    #[expect(clippy::vec_box, reason = "it moves between task and pool without a copy")]
    idle: Mutex<Vec<Box<UpstreamConnection>>>,
}

/// A connect that is under way.
pub(in crate::http) type Connecting =
    Pin<Box<dyn Future<Output = Result<UpstreamStream, Denial>> + Send>>;

impl PoolKey {
    fn of(http: &HttpConfig) -> Self {
        let HttpConfig { upstream, requests, tunnels, .. } = http;
        Self { upstream: upstream.clone(), requests: *requests, tunnels: *tunnels }
    }
}

impl UpstreamSlots {
    fn get(&self, key: &PoolKey) -> Slots {
        let mut slots = self.0.lock();
        // A new upstream is the occasion to remove those that are no longer used.
        if !slots.contains_key(key) {
            slots.retain(|_, slots| Arc::strong_count(&slots.requests) > 1);
        }
        let new = || Slots {
            requests: Arc::new(Semaphore::new(key.requests)),
            tunnels: Arc::new(Semaphore::new(key.tunnels)),
        };
        slots.entry(key.clone()).or_insert_with(new).clone()
    }

    /// The open requests and the open tunnels at an upstream.
    pub(crate) fn usage(&self, http: &HttpConfig) -> (SlotUsage, SlotUsage) {
        let key = PoolKey::of(http);
        let slots = self.0.lock();
        let open = |limit: usize, of: fn(&Slots) -> &Arc<Semaphore>| {
            let free = slots.get(&key).map_or(limit, |slots| of(slots).available_permits());
            SlotUsage { open: limit.saturating_sub(free), limit }
        };
        (open(key.requests, |slots| &slots.requests), open(key.tunnels, |slots| &slots.tunnels))
    }
}

impl Pools {
    /// Empty pools; their open requests and tunnels count against `slots`.
    pub(crate) fn new(slots: Arc<UpstreamSlots>) -> Self {
        Self { pools: Mutex::default(), slots }
    }

    /// The pool of an upstream.
    pub(in crate::http) fn get(&self, http: &HttpConfig) -> Arc<Pool> {
        let key = PoolKey::of(http);
        self.pools
            .lock()
            .entry(key)
            .or_insert_with_key(|key| {
                Arc::new(Pool {
                    upstream: http.upstream.clone(),
                    slots: self.slots.get(key),
                    idle: Mutex::default(),
                })
            })
            .clone()
    }

    /// Periodically closes connections that were idle for too long, and removes unused upstreams.
    /// Never returns.
    pub(crate) async fn evict_idle(self: Arc<Self>) {
        loop {
            sleep(EVICT_INTERVAL).await;
            self.pools.lock().retain(|_, pool| {
                let mut idle = pool.idle.lock();
                idle.retain(|connection| !connection.has_expired());
                Arc::strong_count(pool) > 1 || !idle.is_empty()
            });
        }
    }

    /// Closes all idle connections.
    pub(crate) fn close(&self) {
        self.pools.lock().clear();
    }
}

impl Pool {
    /// A permit for one request or tunnel under a [`Warrant`].
    ///
    /// # Errors
    /// The upstream has as many of this kind open as the site allows.
    pub(in crate::http) fn permit(
        &self,
        kind: SlotKind,
        _: &Warrant,
    ) -> Result<OwnedSemaphorePermit, Denial> {
        let (slots, busy) = match kind {
            SlotKind::Request => (&self.slots.requests, Denial::UpstreamBusy),
            SlotKind::Tunnel => (&self.slots.tunnels, Denial::TunnelsBusy),
        };
        slots.clone().try_acquire_owned().map_err(|_| busy)
    }

    /// The most recently used idle connection that is still open.
    pub(in crate::http) fn take(
        &self,
        context: &mut Context<'_>,
    ) -> Option<Box<UpstreamConnection>> {
        let mut idle = self.idle.lock();
        while let Some(mut connection) = idle.pop() {
            if connection.is_usable(context) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps an idle connection.
    pub(in crate::http) fn put(&self, mut connection: Box<UpstreamConnection>) {
        connection.rest();
        let mut idle = self.idle.lock();
        if idle.len() < limits::IDLE_CONNECTIONS {
            idle.push(connection);
        }
    }

    /// Connects to the upstream within `limit`, and sends it `header` first.
    pub(in crate::http) fn connect(&self, limit: Duration, header: Vec<u8>) -> Connecting {
        let upstream = self.upstream.clone();
        Box::pin(async move {
            match timeout(limit, connect_with_header(&upstream.address, &header)).await {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(error)) => {
                    tracing::debug!(%upstream, %error, "cannot connect");
                    Err(match lacks_descriptors(&error) {
                        true => Denial::NoDescriptor,
                        false => Denial::UpstreamUnreachable,
                    })
                }
                Err(_) => Err(Denial::UpstreamLate),
            }
        })
    }
}
