//! One simulated host: the product's reports, pauses and judgement of orders, without a daemon.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use anyhow::Result;
use aop_api::{Order, OrderResult, OrderState, OriginReport};
use aop_config::{FleetConfig, FleetName};
use aop_fleet::{
    EtcdSession, FleetAccess, Pacing, PublishOutcome,
    orders::{HostStanding, Judgement, SignedOrder},
};
use jiff::Timestamp;
use tokio::time::sleep;

use crate::record::Record;

pub(crate) struct SimulatedHost {
    number: usize,
    session: EtcdSession,
    config: Arc<FleetConfig>,
    name: FleetName,
    report: OriginReport,
    record: Arc<Record>,
}

impl SimulatedHost {
    /// A host whose report is like `report`.
    pub(crate) fn new(
        number: usize,
        access: &FleetAccess,
        config: Arc<FleetConfig>,
        report: OriginReport,
        record: Arc<Record>,
    ) -> Result<Self> {
        let name = format!("host-{number:05}");
        let session = EtcdSession::open(access, number).map_err(|why| anyhow::anyhow!("{why}"))?;
        let instance = format!("{:032x}", RandomState::new().hash_one(number));
        let report = OriginReport { instance, name: name.clone(), ..report };
        let name = name.parse().map_err(anyhow::Error::msg)?;
        Ok(Self { number, session, config, name, report, record })
    }

    /// Reports until it is dropped.
    pub(crate) async fn live(mut self) {
        let mut pacing = Pacing::default();
        let mut told = true;
        loop {
            self.count_up();
            let begun = Instant::now();
            let last = self.report.orders.last().map_or(0, |order| order.serial);
            let (orders, error) = match self.session.publish(self.report.clone(), Some(last)).await
            {
                Ok(PublishOutcome::Taken { orders, .. }) => (Some(orders), None),
                Ok(PublishOutcome::NameTaken(why)) => (None, Some(why)),
                Err(error) => (None, Some(error.to_string())),
            };
            self.record.note(self.number, begun, error);
            let pause = if let Some(stored) = orders {
                if !told {
                    self.record.note_order();
                    told = true;
                }
                let regular = pacing.after_report();
                match self.next_order(last, &stored.orders) {
                    Some(result) => {
                        self.report.orders = vec![result];
                        told = false;
                        Pacing::SPACING
                    }
                    None => regular,
                }
            } else {
                pacing.after_refusal(begun.elapsed())
            };
            sleep(pause).await;
        }
    }

    /// The result of the next order, which is carried out at once.
    fn next_order(&self, last: u64, orders: &[SignedOrder]) -> Option<OrderResult> {
        let standing = HostStanding {
            fleet: &self.config.prefix,
            name: &self.name,
            labels: &self.config.labels,
            operators: &self.config.operators,
            last,
            now: Timestamp::now(),
        };
        orders.iter().find_map(|signed| match standing.judge(signed) {
            Judgement::Obey(order) => Some(done(&order, signed.claimed_operator()?.to_string())),
            Judgement::NotForThisHost | Judgement::Ignore(_) => None,
        })
    }

    /// A host serves and drops between two reports.
    fn count_up(&mut self) {
        let random = RandomState::new().hash_one(self.number);
        let report = &mut self.report;
        report.at = Timestamp::now();
        report.uptime_seconds += 10;
        report.accepted += random % 200;
        for sum in &mut report.dropped {
            sum.count += random % 50;
        }
        for identity in report.sites.iter_mut().flat_map(|site| &mut site.identities) {
            identity.pulls += random % 200;
            identity.last_seen = report.at;
        }
    }
}

fn done(order: &Order, operator: String) -> OrderResult {
    let (serial, at) = (order.serial, Timestamp::now());
    OrderResult { serial, operator, at, state: OrderState::Done, error: None }
}
