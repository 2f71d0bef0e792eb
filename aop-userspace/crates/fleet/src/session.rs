//! The work of the process that talks to etcd: one access, and the answers to messages.

use std::time::Duration;

use aop_api::OriginReport;
use aop_config::FleetPrefix;
use tokio::time::timeout;

use crate::{
    FleetAccess, FleetError, PublishOutcome,
    etcd::{EtcdClient, EtcdError},
    forget, order_store,
    process::{FleetReply, FleetRequest, Reason},
    publisher::Publisher,
    reader, store_warnings,
};

/// The time for one message, at however many endpoints. Shorter than a lease.
const DEADLINE: Duration = Duration::from_secs(25);

/// An open access, with at most one connection. The process without privilege holds one; a
/// simulation of many hosts holds one for each.
pub struct EtcdSession {
    etcd: EtcdClient,
    prefix: FleetPrefix,
    publisher: Publisher,
}

impl EtcdSession {
    /// Opens `access`; `first` selects the endpoint to begin with. Nothing is connected yet.
    ///
    /// # Errors
    /// The access cannot be used.
    pub fn open(access: &FleetAccess, first: usize) -> Result<Self, Reason> {
        let (endpoints, prefix, tls) = access.open().map_err(|why| Reason::new(&why))?;
        let etcd = EtcdClient::new(endpoints, tls, first);
        Ok(Self { etcd, prefix, publisher: Publisher::default() })
    }

    /// As [`FleetClient::publish`](crate::FleetClient::publish), with the first page of the orders.
    ///
    /// # Errors
    /// etcd does not take it.
    pub async fn publish(
        &mut self,
        report: OriginReport,
        orders_above: Option<u64>,
    ) -> Result<PublishOutcome, FleetError> {
        let name = report.name.clone();
        let reply = self.reply(FleetRequest::Publish(Box::new(report), orders_above)).await;
        Ok(reply.published(&name)?.0)
    }

    /// The answer to a message, in time.
    pub(crate) async fn reply(&mut self, request: FleetRequest) -> FleetReply {
        match timeout(DEADLINE, self.answer(request)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(EtcdError::Refused(why))) => FleetReply::Refused(Reason::new(&why)),
            Ok(Err(error)) => FleetReply::Failed(Reason::new(&error.to_string())),
            Err(_) => FleetReply::Failed(Reason::new(&format!(
                "no endpoint answered within {} s, {} was the last",
                DEADLINE.as_secs(),
                self.etcd.endpoint()
            ))),
        }
    }

    async fn answer(&mut self, request: FleetRequest) -> Result<FleetReply, EtcdError> {
        let Self { etcd, prefix, publisher } = self;
        match request {
            FleetRequest::Publish(report, orders) => {
                Ok(FleetReply::Publication(publisher.publish(etcd, prefix, &report, orders).await?))
            }
            FleetRequest::Read(request) => match reader::read_page(etcd, prefix, &request).await {
                Err(EtcdError::Compacted) => Ok(FleetReply::Compacted),
                page => Ok(FleetReply::Page(page?)),
            },
            FleetRequest::StoreWarnings => {
                Ok(FleetReply::StoreWarnings(store_warnings::of(etcd).await))
            }
            FleetRequest::Orders(from) => {
                Ok(FleetReply::Orders(order_store::read(etcd, prefix, from).await?))
            }
            FleetRequest::Order { serial, value, life } => {
                let written = order_store::write(etcd, prefix, serial, value, life).await?;
                Ok(FleetReply::Ordered(written))
            }
            FleetRequest::Forget(name) => {
                Ok(FleetReply::Forgotten(forget::forget(etcd, prefix, &name).await?))
            }
            FleetRequest::Open(..) => Err(EtcdError::refused("opened already")),
        }
    }
}
