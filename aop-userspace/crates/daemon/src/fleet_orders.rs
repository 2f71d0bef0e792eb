//! Orders of the fleet's operators. An order that counts is carried out like a request on the
//! control socket: with the same preflight, the same confirmation and the same audit log.
//!
//! The number of an order is stored before anything is done. So no order is obeyed twice, and one
//! that a crash interrupts counts as refused.

mod taken_order;

use std::{collections::BTreeSet, path::Path, sync::Arc, thread, time::Instant};

use aop_api::{ModeChange, OrderResult, OrderState, OrderedBy, Request};
use aop_config::{FleetConfig, FleetName};
use aop_control::Requester;
use aop_fleet::{
    MORE_ORDERS, StoredOrders,
    orders::{HostStanding, Judgement, SignedOrder},
};
use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use taken_order::TakenOrder;

use super::{Daemon, set_mode::ModesAfter};

/// The most orders that are kept.
const MAX_TAKEN: usize = 4;
/// The most ignored orders that are told.
const MAX_IGNORED: usize = 4;

/// The last order, and what is wrong with others.
pub(crate) struct ObeyedOrders {
    state: Mutex<OrdersState>,
    /// Told when an order was carried out.
    ended: Condvar,
}

#[derive(Default)]
struct OrdersState {
    /// The last orders that this host took, the newest last.
    taken: Vec<TakenOrder>,
    /// Why this host takes no orders.
    trouble: Option<String>,
    /// Why this host ignores orders that are in etcd.
    ignored: BTreeSet<String>,
    /// An order is being carried out.
    busy: bool,
}

impl ObeyedOrders {
    /// The last orders, from their file in `state`.
    pub(crate) fn load(state: &Path) -> Self {
        let (taken, trouble) = match taken_order::load(state) {
            Ok(taken) => (taken, None),
            Err(why) => {
                tracing::warn!("{why}");
                (Vec::new(), Some(why))
            }
        };
        let state = OrdersState { taken, trouble, ..OrdersState::default() };
        Self { state: Mutex::new(state), ended: Condvar::new() }
    }

    /// The number of the last order, from which on this host reads; `None` if it takes none now.
    pub(crate) fn reads_above(&self) -> Option<u64> {
        let state = self.state.lock();
        let is_ready = state.trouble.is_none() && !state.busy;
        is_ready.then(|| state.taken.last().map_or(0, |taken| taken.result.serial))
    }

    /// The warnings for the operator.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let state = self.state.lock();
        let ignored = state.ignored.iter().take(MAX_IGNORED).cloned();
        state.trouble.iter().cloned().chain(ignored).collect()
    }

    /// Waits until no order is being carried out.
    pub(crate) fn await_end(&self, until: Instant) {
        let mut state = self.state.lock();
        self.ended.wait_while_until(&mut state, |state| state.busy, until);
    }

    /// Whether an order is being carried out.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().busy
    }

    /// Notes which orders this host ignores now, and logs the new ones.
    fn note_ignored(&self, ignored: BTreeSet<String>) {
        let mut state = self.state.lock();
        for why in ignored.difference(&state.ignored) {
            tracing::warn!("{why}");
        }
        state.ignored = ignored;
    }
}

impl Daemon {
    /// Takes the first order of `stored` that counts for this host, if there is one, and carries it
    /// out on a thread of its own: a reload takes longer than the fleet waits for a report.
    pub(super) fn obey(
        self: &Arc<Self>,
        config: &FleetConfig,
        name: &FleetName,
        stored: &StoredOrders,
    ) {
        let Some(last) = self.orders.reads_above() else { return };
        let standing = HostStanding {
            fleet: &config.prefix,
            name,
            labels: &config.labels,
            operators: &config.operators,
            last,
            now: Timestamp::now(),
        };
        let (mut ignored, mut next) = (BTreeSet::new(), None);
        for signed in &stored.orders {
            match standing.judge(signed) {
                Judgement::Obey(order) => next = next.or(Some((order, signed.claimed_operator()))),
                Judgement::NotForThisHost => {}
                Judgement::Ignore(why) => {
                    let serial = serial_of(signed);
                    ignored.insert(format!("an order in etcd{serial} was ignored: {why}"));
                }
            }
        }
        if stored.unreadable > 0 {
            ignored.insert(format!(
                "keys below {}/orders/ in etcd that hold no order, and are ignored: {}. An \
                 operator should delete them",
                config.prefix, stored.unreadable
            ));
        }
        if stored.more {
            ignored.insert(MORE_ORDERS.to_owned());
        }
        self.orders.note_ignored(ignored);
        let Some((order, Some(operator))) = next else { return };
        let by = OrderedBy { serial: order.serial, operator: operator.to_string() };
        if self.begin(&by, &order.request) {
            let daemon = Arc::clone(self);
            let work = move || daemon.carry_out_order(&by, order.request);
            if let Err(error) = thread::Builder::new().name("order".to_owned()).spawn(work) {
                self.end(OrderState::Refused, Some(format!("no thread: {error}")));
            }
        }
    }

    /// Stores that this host takes the order. Whether it is stored: else nothing is done. An order
    /// that comes while another process is, or becomes, the daemon is left to that one.
    fn begin(&self, by: &OrderedBy, request: &Request) -> bool {
        let result = OrderResult {
            serial: by.serial,
            operator: by.operator.clone(),
            at: Timestamp::now(),
            state: OrderState::Begun,
            error: None,
        };
        let _no_changes = self.policy.exclude_changes();
        if self.lifecycle.may_change().is_err() {
            return false;
        }
        let mut taken = self.orders.state.lock().taken.clone();
        taken.push(TakenOrder { result, request: request.clone() });
        taken.drain(..taken.len().saturating_sub(MAX_TAKEN));
        let stored = taken_order::store(&taken, &self.settings.paths.state);
        let mut state = self.orders.state.lock();
        match stored {
            Ok(()) => {
                (state.taken, state.busy) = (taken, true);
                true
            }
            Err(why) => {
                let why = format!("order {} was not taken: {why}", by.serial);
                tracing::warn!("{why}");
                state.ignored.insert(why);
                false
            }
        }
    }

    fn carry_out_order(&self, by: &OrderedBy, request: Request) {
        tracing::warn!("order {} of {} is carried out", by.serial, by.operator);
        let sets_mode = matches!(request, Request::Mode(_));
        let (_, refused) = self.carry_out(request.clone());
        self.audit.record(Requester::own(), request, refused.clone(), Some(by.clone()));
        let state = match &refused {
            Some(why) => {
                tracing::warn!("order {} was refused: {why}", by.serial);
                OrderState::Refused
            }
            None if sets_mode => OrderState::Lasting,
            None => OrderState::Done,
        };
        self.end(state, refused);
    }

    /// Notes what became of the order. The file is left to another process that is, or becomes, the
    /// daemon: there the order stays `begun`.
    fn end(&self, state: OrderState, error: Option<String>) {
        let no_changes = self.policy.exclude_changes();
        let ended = {
            let mut orders = self.orders.state.lock();
            orders.busy = false;
            if let Some(taken) = orders.taken.last_mut() {
                (taken.result.state, taken.result.error) = (state, error);
            }
            orders.taken.clone()
        };
        self.orders.ended.notify_all();
        if !self.lifecycle.is_handing_over()
            && let Err(why) = taken_order::store(&ended, &self.settings.paths.state)
        {
            tracing::warn!("{why}");
        }
        drop(no_changes);
        self.fleet.report_soon();
    }

    /// The last orders, the newest last, and what holds of each now.
    pub(super) fn last_orders(&self) -> Vec<OrderResult> {
        let taken = self.orders.state.lock().taken.clone();
        taken.into_iter().map(|taken| self.as_it_stands(taken)).collect()
    }

    fn as_it_stands(&self, TakenOrder { mut result, request }: TakenOrder) -> OrderResult {
        if let (OrderState::Lasting, Request::Mode(change)) = (&result.state, request) {
            let change = ModeChange { confirm_seconds: None, confirm_pulls: None, ..change };
            result.state = match self.modes_after(&change) {
                ModesAfter::Waiting => OrderState::Waiting,
                ModesAfter::Same => OrderState::Lasting,
                ModesAfter::Others => OrderState::TakenBack,
            };
        }
        result
    }
}

/// The number that an order claims to have, for a text.
fn serial_of(signed: &SignedOrder) -> String {
    signed.unverified().map_or_else(String::new, |order| format!(", {},", order.serial))
}
