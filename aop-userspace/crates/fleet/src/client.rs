//! The parent of the process that talks to etcd.

use std::{os::unix::net::UnixStream, time::Duration};

use aop_api::OriginReport;
use aop_config::FleetName;
use aop_sandbox::{
    LaunchError, Launcher, NameLookup, ProcessRole, SandboxedProcess, channel::ChannelError,
};

use crate::{
    FleetAccess,
    forget::ForgetOutcome,
    order_store::{OrderPage, OrdersFrom},
    orders::SignedOrder,
    process::{self, FleetReply, FleetRequest, Reason},
    publisher::{Publication, Rival},
    view::StoredFleet,
    whole_fleet,
};

/// A process that talks to etcd. It dies with the thread that started it.
#[derive(Debug)]
pub struct FleetClient {
    process: SandboxedProcess,
    channel: UnixStream,
}

/// Why the fleet cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The process cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The process broke, or hangs. It must be started again.
    #[error("the process that talks to etcd broke: {0}")]
    Broken(String),
    /// etcd refuses: nothing was done.
    #[error("{0}")]
    Refused(Reason),
    /// etcd cannot be reached, or did not answer. It may have done what was asked.
    #[error("{0}")]
    Etcd(Reason),
}

/// etcd took a report, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It took it.
    Taken {
        /// The bytes of the report.
        bytes: usize,
        /// The warnings for the operator.
        warning: Option<String>,
        /// The orders that were asked for.
        orders: StoredOrders,
    },
    /// Another host reports under this name: why it is believed so. No orders were read.
    NameTaken(String),
}

/// The orders in etcd: untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredOrders {
    /// The orders.
    pub orders: Vec<SignedOrder>,
    /// Keys that hold no order.
    pub unreadable: usize,
    /// Whether there are more than are read.
    pub more: bool,
}

/// The most pages of orders that are read.
const MOST_PAGES: usize = 16;

impl FleetClient {
    /// Starts the process, and gives it the access; `first` selects the endpoint to begin with.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(
        launcher: &Launcher,
        access: FleetAccess,
        names: NameLookup,
        first: usize,
    ) -> Result<Self, FleetError> {
        let (process, channel) = launcher.launch(ProcessRole::TalkToEtcd, names)?;
        let client = Self { process, channel };
        let FleetReply::Opened = client.ask(&FleetRequest::Open(access, first))? else {
            return Err(unexpected());
        };
        Ok(client)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Publishes the report of this host, and reads the orders whose numbers are above
    /// `orders_above`, the first ones in the same transaction; `None` reads none.
    ///
    /// # Errors
    /// etcd does not take it, or does not let this host read further orders.
    pub fn publish(
        &self,
        report: OriginReport,
        orders_above: Option<u64>,
    ) -> Result<PublishOutcome, FleetError> {
        let name = report.name.clone();
        let reply = self.ask(&FleetRequest::Publish(Box::new(report), orders_above))?;
        let (mut outcome, next) = reply.published(&name)?;
        if let PublishOutcome::Taken { orders, .. } = &mut outcome {
            self.read_on(orders, next)?;
        }
        Ok(outcome)
    }

    /// Reads what all hosts have written, in one state of etcd, and what is wrong with etcd.
    ///
    /// # Errors
    /// etcd does not answer.
    pub fn hosts(&self) -> Result<StoredFleet, FleetError> {
        let mut fleet = whole_fleet::read(|request| {
            let page = self.ask(&FleetRequest::Read(request))?;
            if let FleetReply::Compacted = page {
                return Ok(None);
            }
            let FleetReply::Page(page) = page else { return Err(unexpected()) };
            Ok(Some(page))
        })?;
        let FleetReply::StoreWarnings(warnings) = self.ask(&FleetRequest::StoreWarnings)? else {
            return Err(unexpected());
        };
        fleet.warnings = warnings.iter().map(|warning| warning.to_string()).collect();
        Ok(fleet)
    }

    /// Reads the orders whose numbers are above `above`, in the order of their numbers. Nothing is
    /// known of their signatures.
    ///
    /// # Errors
    /// etcd does not answer.
    pub fn orders(&self, above: u64) -> Result<StoredOrders, FleetError> {
        let mut orders = StoredOrders::default();
        let next = orders.add(self.page_of_orders(OrdersFrom::Above(above))?);
        self.read_on(&mut orders, next)?;
        Ok(orders)
    }

    /// Reads the pages that follow.
    fn read_on(
        &self,
        orders: &mut StoredOrders,
        mut next: Option<Vec<u8>>,
    ) -> Result<(), FleetError> {
        for _ in 1..MOST_PAGES {
            let Some(key) = next else { return Ok(()) };
            next = orders.add(self.page_of_orders(OrdersFrom::Key(key))?);
        }
        orders.more = next.is_some();
        Ok(())
    }

    fn page_of_orders(&self, from: OrdersFrom) -> Result<OrderPage, FleetError> {
        let FleetReply::Orders(page) = self.ask(&FleetRequest::Orders(from))? else {
            return Err(unexpected());
        };
        Ok(page)
    }

    /// Writes an order under its number. Whether there was none of that number, or this very order:
    /// after an error it may be written again.
    ///
    /// # Errors
    /// etcd does not answer, or refuses.
    pub fn order(
        &self,
        serial: u64,
        order: &SignedOrder,
        life: Duration,
    ) -> Result<bool, FleetError> {
        let value = order
            .to_bytes()
            .map_err(|error| FleetError::Refused(Reason::new(&error.to_string())))?;
        let ordered = self.ask(&FleetRequest::Order { serial, value, life })?;
        let FleetReply::Ordered(written) = ordered else { return Err(unexpected()) };
        Ok(written)
    }

    /// Forgets a host that is silent.
    ///
    /// # Errors
    /// etcd does not answer, or refuses.
    pub fn forget(&self, name: FleetName) -> Result<ForgetOutcome, FleetError> {
        let FleetReply::Forgotten(outcome) = self.ask(&FleetRequest::Forget(name))? else {
            return Err(unexpected());
        };
        Ok(outcome)
    }

    fn ask(&self, request: &FleetRequest) -> Result<FleetReply, FleetError> {
        let broken = |error: ChannelError| FleetError::Broken(error.to_string());
        process::ask(&self.channel, request).map_err(broken)?.succeeded()
    }
}

impl FleetReply {
    fn succeeded(self) -> Result<Self, FleetError> {
        if let Self::Refused(why) = self {
            return Err(FleetError::Refused(why));
        }
        if let Self::Failed(why) = self { Err(FleetError::Etcd(why)) } else { Ok(self) }
    }

    /// The outcome of the report of `name`, and the first key of further orders.
    pub(crate) fn published(
        self,
        name: &str,
    ) -> Result<(PublishOutcome, Option<Vec<u8>>), FleetError> {
        let Self::Publication(publication) = self.succeeded()? else { return Err(unexpected()) };
        match publication {
            Publication::Taken { bytes, rival, orders: page } => {
                let mut orders = StoredOrders::default();
                let next = orders.add(page);
                let warning = rival.map(|rival| rival.warning(name));
                Ok((PublishOutcome::Taken { bytes, warning, orders }, next))
            }
            Publication::NameTaken => {
                let why =
                    format!("another host reports as {name} (`aop fleet status --host {name}`)");
                Ok((PublishOutcome::NameTaken(why), None))
            }
        }
    }
}

impl StoredOrders {
    /// Adds a page. Returns the first key of the next one.
    fn add(&mut self, page: OrderPage) -> Option<Vec<u8>> {
        let keys = page.orders.len() + page.unreadable;
        let before = self.orders.len();
        self.orders.extend(page.orders.into_iter().filter_map(SignedOrder::from_parts));
        self.unreadable += keys - (self.orders.len() - before);
        page.next
    }
}

fn unexpected() -> FleetError {
    FleetError::Broken("it gave the answer to another question".to_owned())
}

impl Rival {
    fn warning(&self, name: &str) -> String {
        match self {
            Self::Instance(instance) => format!(
                "another host claims the name {name} in the fleet (its instance is {instance}), \
                 and is not seen: give it another fleet.name"
            ),
            Self::Copy => format!(
                "another host reports as {name} with the instance of this one, as if one disk \
                 were a copy of the other: give it another fleet.name, and remove fleet-instance \
                 from its paths.state"
            ),
        }
    }
}
