//! Calls of etcd, at whichever endpoint answers.

use std::{mem, time::Duration};

use aop_config::EtcdEndpoint;
use aop_tls::MutualClient;

use super::{
    EtcdError,
    connection::Connection,
    messages::{
        CompareRequest, DeleteRangeRequest, KeyValue, LeaseGrantRequest, LeaseKeepAliveRequest,
        LeaseResponse, PutRequest, RangeRequest, RangeResponse, RequestKind, RequestOp,
        StatusRequest, StatusResponse, TARGET_MOD, TxnRequest, TxnResponse,
    },
};

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// A client with at most one connection. A call that an endpoint does not answer goes to the next
/// one.
pub(crate) struct EtcdClient {
    endpoints: Vec<EtcdEndpoint>,
    tls: Option<MutualClient>,
    /// The endpoint of the connection, or of the next attempt.
    at: usize,
    connection: Option<Connection>,
    /// Whether the last answer was that etcd has too much to do.
    busy: bool,
}

/// The condition of a transaction: the revision in which a key was last changed, 0 if it does not
/// exist.
pub(crate) struct Compare<'a> {
    pub(crate) key: &'a str,
    pub(crate) revision: i64,
}

/// A step of a transaction.
pub(crate) enum Operation<'a> {
    /// Writes a key, under a lease or under none (0).
    Put { key: &'a str, value: Vec<u8>, lease: i64 },
    /// Reads a key.
    Get(&'a str),
    /// Reads the keys from the first up to the second, at most so many.
    GetRange(&'a str, Vec<u8>, i64, Wanted),
    /// Deletes a key.
    Delete(&'a str),
}

/// The wanted part of the keys that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The keys alone, with empty values.
    Keys,
    /// The values, too.
    Values,
}

/// The result of a transaction.
pub(crate) struct TxnAnswer {
    /// Whether the condition was met.
    pub(crate) met: bool,
    /// The revision after it.
    pub(crate) revision: i64,
    /// The results of its reads, in their order.
    pub(crate) read: Vec<RangeRead>,
}

/// The result of a read within a transaction.
#[derive(Default)]
pub(crate) struct RangeRead {
    pub(crate) keys: Vec<KeyValue>,
    /// Whether there are more keys than were read.
    pub(crate) more: bool,
}

/// A page of keys.
pub(crate) struct Page {
    pub(crate) keys: Vec<KeyValue>,
    /// The state of etcd that it shows.
    pub(crate) revision: i64,
    pub(crate) more: bool,
}

impl EtcdClient {
    /// A client of `endpoints`; `first` selects the one to begin with, so that the hosts of a fleet
    /// do not all ask the same one.
    pub(crate) fn new(
        endpoints: Vec<EtcdEndpoint>,
        tls: Option<MutualClient>,
        first: usize,
    ) -> Self {
        Self { at: first % endpoints.len().max(1), endpoints, tls, connection: None, busy: false }
    }

    /// The endpoint of the last call.
    pub(crate) fn endpoint(&self) -> String {
        self.endpoints.get(self.at).map(ToString::to_string).unwrap_or_default()
    }

    /// Reads the keys from `from` up to `end`, at most `limit`, in the state of `revision`; 0 is
    /// the newest one of all members.
    ///
    /// A user of etcd who may write one key may write a long one. So if the answer is too long, it
    /// is read with fewer keys, and a single key that is too long comes with an empty value.
    pub(crate) async fn range(
        &mut self,
        from: &[u8],
        end: &[u8],
        wanted: Wanted,
        limit: i64,
        revision: i64,
    ) -> Result<Page, EtcdError> {
        let mut ask = range_request(from, end, wanted, limit);
        ask.revision = revision;
        loop {
            match self.call(RANGE, ask.clone()).await {
                Err(EtcdError::TooLong) if ask.limit > 1 => ask.limit /= 2,
                Err(EtcdError::TooLong) if !ask.keys_only => ask.keys_only = true,
                answered => {
                    let RangeResponse { header, kvs, more } = answered?;
                    let revision = header.map_or(0, |it| it.revision);
                    return Ok(Page { keys: kvs, revision, more });
                }
            }
        }
    }

    /// Runs a transaction.
    pub(crate) async fn transaction(
        &mut self,
        condition: Option<Compare<'_>>,
        success: Vec<Operation<'_>>,
        failure: Vec<Operation<'_>>,
    ) -> Result<TxnAnswer, EtcdError> {
        let compare = condition.into_iter().map(|Compare { key, revision }| CompareRequest {
            result: 0,
            target: TARGET_MOD,
            key: key.into(),
            mod_revision: Some(revision),
        });
        let ask = TxnRequest {
            compare: compare.collect(),
            success: success.into_iter().map(Operation::request).collect(),
            failure: failure.into_iter().map(Operation::request).collect(),
        };
        let TxnResponse { header, succeeded, responses } = self.call(TXN, ask).await?;
        let read = responses.into_iter().filter_map(|response| {
            response.range.map(|RangeResponse { kvs, more, .. }| RangeRead { keys: kvs, more })
        });
        Ok(TxnAnswer {
            met: succeeded,
            revision: header.map_or(0, |it| it.revision),
            read: read.collect(),
        })
    }

    /// A new lease: its number.
    pub(crate) async fn grant(&mut self, life: Duration) -> Result<i64, EtcdError> {
        let ttl = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let granted: LeaseResponse = self.call(GRANT, LeaseGrantRequest { ttl }).await?;
        Ok(granted.id)
    }

    /// Renews a lease. Whether it still exists.
    pub(crate) async fn keep_alive(&mut self, lease: i64) -> Result<bool, EtcdError> {
        // A stream of one request and one answer.
        let kept: LeaseResponse =
            self.call(KEEP_ALIVE, LeaseKeepAliveRequest { id: lease }).await?;
        Ok(kept.ttl > 0)
    }

    /// The alarms that etcd has raised, as texts of etcd.
    pub(crate) async fn alarms(&mut self) -> Result<Vec<String>, EtcdError> {
        let status: StatusResponse = self.call(STATUS, StatusRequest {}).await?;
        Ok(status.errors)
    }

    /// Makes a call at the first endpoint that answers; the error is that of the last one. A call
    /// may then be made twice: each is one that may be repeated.
    async fn call<Q, A>(&mut self, path: &'static str, ask: Q) -> Result<A, EtcdError>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut attempts = self.endpoints.len();
        loop {
            let kept = self.connection.is_some();
            let answered = self.call_once(path, ask.clone()).await;
            let answered = answered.map_err(|error| error.at(&self.endpoint()));
            let was_busy =
                mem::replace(&mut self.busy, matches!(answered, Err(EtcdError::Busy(_))));
            match answered {
                // A connection that etcd closed in the meantime is no reason to leave the endpoint.
                Err(EtcdError::Unavailable(_)) if kept => self.connection = None,
                Err(error @ (EtcdError::Unavailable(_) | EtcdError::Silent(_))) => {
                    self.leave_endpoint();
                    attempts = attempts.saturating_sub(1);
                    if attempts == 0 {
                        return Err(error);
                    }
                }
                Err(error @ EtcdError::Busy(_)) => {
                    // One member may lag behind the others.
                    if was_busy && self.endpoints.len() > 1 {
                        self.leave_endpoint();
                    }
                    return Err(error);
                }
                answered => return answered,
            }
        }
    }

    /// The next call goes to the next endpoint.
    fn leave_endpoint(&mut self) {
        self.connection = None;
        self.at = (self.at + 1) % self.endpoints.len().max(1);
    }

    async fn call_once<Q, A>(&mut self, path: &'static str, ask: Q) -> Result<A, EtcdError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let connection = match &mut self.connection {
            Some(open) => open,
            empty => {
                let endpoint = self.endpoints.get(self.at);
                let endpoint = endpoint.ok_or_else(|| EtcdError::refused("no endpoint"))?;
                empty.insert(Connection::open(endpoint, self.tls.as_ref()).await?)
            }
        };
        connection.call(path, ask).await
    }
}

impl Operation<'_> {
    fn request(self) -> RequestOp {
        let request = match self {
            Self::Put { key, value, lease } => {
                RequestKind::Put(PutRequest { key: key.into(), value, lease })
            }
            Self::Get(key) => {
                RequestKind::Range(range_request(key.as_bytes(), &[], Wanted::Values, 1))
            }
            Self::GetRange(from, end, limit, wanted) => {
                RequestKind::Range(range_request(from.as_bytes(), &end, wanted, limit))
            }
            Self::Delete(key) => RequestKind::Delete(DeleteRangeRequest { key: key.into() }),
        };
        RequestOp { request: Some(request) }
    }
}

fn range_request(from: &[u8], end: &[u8], wanted: Wanted, limit: i64) -> RangeRequest {
    RangeRequest {
        key: from.to_vec(),
        range_end: end.to_vec(),
        limit,
        revision: 0,
        keys_only: wanted == Wanted::Keys,
    }
}

impl TxnAnswer {
    /// The result of the read at this place.
    pub(crate) fn take_read(&mut self, place: usize) -> RangeRead {
        self.read.get_mut(place).map(mem::take).unwrap_or_default()
    }

    /// All keys that were read.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &KeyValue> {
        self.read.iter().flat_map(|read| &read.keys)
    }
}

/// The first key after all that begin with `prefix`, which ends with an ASCII character.
pub(crate) fn end_of_prefix(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
