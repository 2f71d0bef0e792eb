//! Tests of the progress of a wave.

use std::time::{Duration, Instant};

use aop_api::{
    ModeChange, ModeName, ModeTarget, Order, OrderResult, OrderState, OrderedHosts, OriginReport,
    Request,
};

use super::{good, name, now as at, stored};
use crate::{StoredFleet, WaveProgress, WaveWatch};

/// Two hosts, `a` and `b`, in a wave of order 7.
struct Wave {
    watch: WaveWatch,
    began: Instant,
}

impl Wave {
    fn of(request: Request) -> Self {
        let order = Order {
            fleet: "/aop".to_owned(),
            serial: 7,
            issued: at(),
            expires: at(),
            hosts: OrderedHosts::default(),
            request,
        };
        let hosts = ["a", "b"].map(|host| (name(host), good(host)));
        let began = Instant::now();
        Self { watch: WaveWatch::begin(&order, &hosts.into(), began), began }
    }

    fn enforcing() -> Self {
        Self::of(Request::Mode(ModeChange::to(ModeTarget::Enforce)))
    }

    fn at(&self, second: u64) -> Instant {
        self.began + Duration::from_secs(second)
    }

    /// The progress after a reading in this second.
    fn read(&mut self, second: u64, fleet: &StoredFleet) -> WaveProgress {
        self.watch.read(fleet, self.at(second));
        self.watch.progress()
    }
}

/// The report of a host that took order `serial`.
fn took(host: &str, serial: u64, state: OrderState) -> OriginReport {
    let order = OrderResult { serial, operator: String::new(), at: at(), state, error: None };
    OriginReport { orders: vec![order], ..good(host) }
}

/// Both hosts, with the states of order 7; `None`: a host that does not report.
fn states(states: [Option<OrderState>; 2]) -> StoredFleet {
    let hosts = ["a", "b"].into_iter().zip(states);
    stored(hosts.filter_map(|(host, state)| Some(took(host, 7, state?))).collect())
}

/// Asked, begun, waiting, lasting, stopped.
fn counts(it: &WaveProgress) -> [usize; 5] {
    [it.asked, it.begun, it.waiting, it.lasting, it.stops.len()]
}

const LASTING: Option<OrderState> = Some(OrderState::Lasting);
const WAITING: Option<OrderState> = Some(OrderState::Waiting);

#[test]
fn a_host_waits_lasts_or_stops_as_it_reports() {
    for (state, wanted) in [
        (OrderState::Begun, [0, 1, 0, 1, 0]),
        (OrderState::Waiting, [0, 0, 1, 1, 0]),
        (OrderState::Lasting, [0, 0, 0, 2, 0]),
        (OrderState::Done, [0, 0, 0, 2, 0]),
        (OrderState::TakenBack, [0, 0, 0, 1, 1]),
        (OrderState::Refused, [0, 0, 0, 1, 1]),
        (OrderState::from("burnt"), [0, 0, 0, 1, 1]),
    ] {
        let progress = Wave::enforcing().read(10, &states([Some(state.clone()), LASTING]));
        assert_eq!(counts(&progress), wanted, "{state}");
    }
    let mut refused = took("a", 7, OrderState::Refused);
    refused.orders[0].error = Some("no pulls yet".to_owned());
    let progress = Wave::enforcing().read(10, &stored(vec![refused, good("b")]));
    assert!(progress.stops[0].1.contains("no pulls yet"), "{progress:?}");
    let newer = took("a", 8, OrderState::Lasting);
    let progress = Wave::enforcing().read(10, &stored(vec![newer, good("b")]));
    assert_eq!(counts(&progress), [1, 0, 0, 0, 1], "{progress:?}");
    let mut other = took("a", 7, OrderState::Lasting);
    other.instance = "another".to_owned();
    let progress = Wave::enforcing().read(10, &stored(vec![other, good("b")]));
    assert_eq!(counts(&progress), [1, 0, 0, 0, 1], "{progress:?}");
}

#[test]
fn a_host_that_has_stopped_a_wave_stops_it_for_good() {
    let mut claimed = states([LASTING, WAITING]);
    claimed.claimed.insert(name("a"));
    let no_longer = [(None, 1), (None, 22)];
    let taken_back = (Some(states([Some(OrderState::TakenBack), WAITING])), 22);
    for (stopping, why) in [
        (vec![taken_back], "it went back"),
        (vec![(Some(claimed), 22)], "claims this name"),
        (no_longer.to_vec(), "it does not report any more"),
    ] {
        let mut wave = Wave::enforcing();
        for (fleet, second) in stopping {
            let missing = || states([None, WAITING]);
            wave.read(second, &fleet.unwrap_or_else(missing));
        }
        // A person has enforced by hand, the host is back, or the claim is gone.
        let progress = wave.read(30, &states([LASTING, LASTING]));
        assert_eq!(counts(&progress), [0, 0, 0, 1, 1], "{why}");
        assert!(progress.stops[0].1.contains(why), "{progress:?}");
    }
}

#[test]
fn a_host_that_reports_must_take_the_order_in_time() {
    let mut wave = Wave::enforcing();
    let before = stored(vec![took("a", 6, OrderState::Lasting), took("b", 7, OrderState::Done)]);
    assert_eq!(counts(&wave.read(45, &before)), [1, 0, 0, 1, 0]);
    let late = wave.read(46, &before);
    assert_eq!(counts(&late), [0, 0, 0, 1, 1]);
    assert!(late.stops[0].1.contains("does not take the order"), "{late:?}");
}

#[test]
fn a_host_may_be_missing_for_a_moment_and_longer_only_while_etcd_is_away() {
    let missing = states([None, LASTING]);
    let mut wave = Wave::enforcing();
    assert_eq!(counts(&wave.read(10, &missing)), [1, 0, 0, 1, 0]);
    assert_eq!(counts(&wave.read(30, &missing)), [1, 0, 0, 1, 0]);
    wave.watch.etcd_is_away(wave.at(200));
    assert_eq!(counts(&wave.read(210, &missing)), [1, 0, 0, 1, 0]);
    assert_eq!(counts(&wave.read(225, &states([Some(OrderState::Begun), LASTING])))[1], 1);
    assert_eq!(counts(&wave.read(230, &missing))[1], 1);
    assert_eq!(counts(&wave.read(251, &missing)), [0, 0, 0, 1, 1]);

    let mut unreadable = states([None, LASTING]);
    unreadable.add_report(name("a"), None);
    let mut wave = Wave::enforcing();
    let progress = wave.read(1, &unreadable);
    assert!(progress.stops[0].1.contains("cannot be read"), "{progress:?}");
}

#[test]
fn a_host_that_begins_and_never_ends_stops_the_wave_and_is_not_said_to_wait() {
    let begun = states([Some(OrderState::Begun), LASTING]);
    let mut wave = Wave::enforcing();
    assert_eq!(counts(&wave.read(10, &begun)), [0, 1, 0, 1, 0]);
    assert_eq!(counts(&wave.read(190, &begun)), [0, 1, 0, 1, 0]);
    let stopped = wave.read(191, &begun);
    assert_eq!((counts(&stopped), stopped.open()), ([0, 0, 0, 1, 1], 0));
    assert!(stopped.stops[0].1.contains("has not ended after 180 s"), "{stopped:?}");
}

#[test]
fn a_confirmation_is_no_stop_where_the_host_has_confirmed_itself_meanwhile() {
    let refused = took("a", 7, OrderState::Refused);
    let gone_back = OriginReport { mode: ModeName::Observe, ..took("b", 7, OrderState::Refused) };
    let fleet = stored(vec![refused, gone_back]);
    let progress = Wave::of(Request::Confirm).read(10, &fleet);
    assert_eq!(counts(&progress), [0, 0, 0, 1, 1]);
    assert_eq!(progress.stops[0].0, name("b"));
    assert_eq!(counts(&Wave::enforcing().read(10, &fleet)), [0, 0, 0, 0, 2]);
}
