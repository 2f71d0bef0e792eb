//! The process that talks to etcd: it holds the key of the certificate, has no privilege, and
//! parses what the network sends. It answers each message with one, until the channel closes.

use std::{io, os::unix::net::UnixStream, sync::Arc, thread, time::Duration};

use aop_api::OriginReport;
use aop_config::{FleetName, FleetPrefix};
use aop_sandbox::channel::{self, ChannelError, Message};
use aop_types::{Cleaned, SafeText};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    FleetAccess,
    etcd::{EtcdClient, EtcdError, Operation},
    keys::HostKeys,
    order_store::{self, OrderPage},
    publisher::{Publication, Publisher},
    reader::{self, FleetPage, PageRequest},
};

/// The time for one message, at however many endpoints. Shorter than a lease.
const DEADLINE: Duration = Duration::from_secs(25);
/// The time that the parent waits for an answer: that, and the time to start the process.
const PATIENCE: Duration = Duration::from_secs(35);
/// The longest answer: a page of 500 reports of 16 KiB, whose texts may take twice as much.
const MAX_REPLY: usize = 20 * 1024 * 1024;

/// The most characters of a text in an answer.
const MAX_TEXT: usize = 512;

/// The error of the process, as text: untrusted.
pub(crate) type Reason = SafeText<400>;

/// A message to the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FleetRequest {
    /// The first message. The number selects the first endpoint.
    Open(FleetAccess, usize),
    /// Publish the report of this host.
    Publish(Box<OriginReport>),
    /// Read a page of what all hosts have written.
    Read(PageRequest),
    /// Read the orders whose numbers are above this one.
    Orders(u64),
    /// Write an order, if there is none of its number.
    Order {
        serial: u64,
        /// The signed order.
        value: Vec<u8>,
        /// Seconds until etcd deletes it.
        seconds: i64,
    },
    /// Delete the note that this host has reported. Only a host that does not report is forgotten.
    Forget(FleetName),
}

/// An answer of the process. Untrusted: the process parses input from the network.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FleetReply {
    /// To [`FleetRequest::Open`].
    Opened,
    /// To [`FleetRequest::Publish`].
    Publication(Publication),
    /// To [`FleetRequest::Read`].
    Page(FleetPage),
    /// To [`FleetRequest::Orders`].
    Orders(OrderPage),
    /// To [`FleetRequest::Order`]: whether it was written.
    Ordered(bool),
    /// To [`FleetRequest::Forget`]: whether the host is forgotten.
    Forgotten(bool),
    /// The request failed.
    Failed(Reason),
}

/// Sends `request` to the process, and receives its answer.
pub(crate) fn ask(
    channel: &UnixStream,
    request: &FleetRequest,
) -> Result<FleetReply, ChannelError> {
    channel::send(channel, &Message::secret(request)?, &[])?;
    let Cleaned(reply) =
        channel::receive_until::<Cleaned<FleetReply, MAX_TEXT>>(channel, MAX_REPLY, PATIENCE)?;
    Ok(reply)
}

/// The work of the process: it answers messages from `channel` until that closes. It should have
/// dropped all privileges.
///
/// # Errors
/// The channel fails. A call of etcd that fails is an answer.
pub async fn run(channel: UnixStream) -> Result<(), ChannelError> {
    let channel = Arc::new(channel);
    let mut requests = receive_requests(channel.clone())?;
    let mut session: Option<Session> = None;
    // While this waits, the connection to etcd goes on: HTTP/2 has messages of its own.
    while let Some(request) = requests.recv().await {
        let reply = match (request?, &mut session) {
            (FleetRequest::Open(access, first), None) => match Session::open(&access, first) {
                Ok(opened) => {
                    session = Some(opened);
                    FleetReply::Opened
                }
                Err(why) => FleetReply::Failed(Reason::new(&why)),
            },
            (FleetRequest::Open(..), Some(_)) => FleetReply::Failed(Reason::new("opened already")),
            (_, None) => FleetReply::Failed(Reason::new("not opened")),
            (request, Some(session)) => session.reply(request).await,
        };
        channel::send(&channel, &Message::new(&reply)?, &[])?;
    }
    Ok(())
}

/// An open access.
struct Session {
    etcd: EtcdClient,
    prefix: FleetPrefix,
    publisher: Publisher,
}

impl Session {
    fn open(access: &FleetAccess, first: usize) -> Result<Self, String> {
        let (endpoints, prefix, tls) = access.open()?;
        let etcd = EtcdClient::new(endpoints, tls, first);
        Ok(Self { etcd, prefix, publisher: Publisher::default() })
    }

    async fn reply(&mut self, request: FleetRequest) -> FleetReply {
        match timeout(DEADLINE, self.answer(request)).await {
            Ok(Ok(reply)) => reply,
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
            FleetRequest::Publish(report) => {
                Ok(FleetReply::Publication(publisher.publish(etcd, prefix, &report).await?))
            }
            FleetRequest::Read(request) => {
                Ok(FleetReply::Page(reader::read_page(etcd, prefix, &request).await?))
            }
            FleetRequest::Orders(above) => {
                Ok(FleetReply::Orders(order_store::read(etcd, prefix, above).await?))
            }
            FleetRequest::Order { serial, value, seconds } => {
                let written = order_store::write(etcd, prefix, serial, value, seconds).await?;
                Ok(FleetReply::Ordered(written))
            }
            FleetRequest::Forget(name) => {
                Ok(FleetReply::Forgotten(forget(etcd, prefix, &name).await?))
            }
            FleetRequest::Open(..) => Err(EtcdError::refused("opened already")),
        }
    }
}

/// Deletes the note of a host that does not report.
async fn forget(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    name: &FleetName,
) -> Result<bool, EtcdError> {
    let keys = HostKeys::of(prefix, name);
    let silent = crate::etcd::Compare { key: &keys.report, revision: 0 };
    let delete = vec![Operation::Delete(&keys.seen)];
    Ok(etcd.transaction(Some(silent), delete, Vec::new()).await?.met)
}

/// Reads requests on a thread of its own, which ends with the channel or with the process.
fn receive_requests(
    channel: Arc<UnixStream>,
) -> io::Result<mpsc::Receiver<Result<FleetRequest, ChannelError>>> {
    let (sender, requests) = mpsc::channel(1);
    thread::Builder::new().name("channel".to_owned()).spawn(move || {
        while let Some(received) = channel::receive(&channel).transpose() {
            let broken = received.is_err();
            if sender.blocking_send(received).is_err() || broken {
                return;
            }
        }
    })?;
    Ok(requests)
}
