//! The process that talks to etcd: it holds the key of the certificate, has no privilege, and
//! parses what the network sends. It answers each message with one, until the channel closes.

use std::{io, os::unix::net::UnixStream, sync::Arc, thread, time::Duration};

use aop_api::OriginReport;
use aop_config::FleetName;
use aop_sandbox::channel::{self, ChannelError, Message};
use aop_types::{Cleaned, SafeText};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    EtcdSession, FleetAccess,
    forget::ForgetOutcome,
    order_store::{OrderPage, OrdersFrom},
    publisher::Publication,
    reader::{FleetPage, PageRequest},
    store_warnings::StoreWarning,
};

/// The time that the parent waits for an answer: the deadline of a session, and the time to start
/// the process.
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
    /// Publish the report of this host, and read the orders whose numbers are above this one.
    Publish(Box<OriginReport>, Option<u64>),
    /// Read a page of what all hosts have written.
    Read(PageRequest),
    /// Ask etcd what is wrong with it.
    StoreWarnings,
    /// Read a page of orders.
    Orders(OrdersFrom),
    /// Write an order, if there is none of its number.
    Order {
        serial: u64,
        /// The signed order.
        value: Vec<u8>,
        /// The time until etcd deletes it.
        life: Duration,
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
    /// To [`FleetRequest::Read`]: the state of etcd is not kept any more.
    Compacted,
    /// To [`FleetRequest::StoreWarnings`].
    StoreWarnings(Vec<StoreWarning>),
    /// To [`FleetRequest::Orders`].
    Orders(OrderPage),
    /// To [`FleetRequest::Order`]: whether it was written.
    Ordered(bool),
    /// To [`FleetRequest::Forget`].
    Forgotten(ForgetOutcome),
    /// etcd, or the process, refuses the request: nothing was done.
    Refused(Reason),
    /// The request failed. It may have been done all the same.
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
    let mut session: Option<EtcdSession> = None;
    // While this waits, the connection to etcd goes on: HTTP/2 has messages of its own.
    while let Some(request) = requests.recv().await {
        let reply = match (request?, &mut session) {
            (FleetRequest::Open(access, first), None) => match EtcdSession::open(&access, first) {
                Ok(opened) => {
                    session = Some(opened);
                    FleetReply::Opened
                }
                Err(why) => FleetReply::Refused(why),
            },
            (FleetRequest::Open(..), Some(_)) => FleetReply::Refused(Reason::new("opened already")),
            (_, None) => FleetReply::Refused(Reason::new("not opened")),
            (request, Some(session)) => session.reply(request).await,
        };
        channel::send(&channel, &Message::new(&reply)?, &[])?;
    }
    Ok(())
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
