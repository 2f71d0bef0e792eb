//! Deletes the note of a host that does not report.

use aop_config::{FleetName, FleetPrefix};
use serde::{Deserialize, Serialize};

use crate::{
    etcd::{Compare, EtcdClient, EtcdError, Operation},
    keys::HostKeys,
};

/// The result of forgetting a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForgetOutcome {
    /// Its note is deleted.
    Forgotten,
    /// It reports, so nothing was done.
    Reports,
    /// No host of this name has reported, so nothing was done.
    Unknown,
}

pub(crate) async fn forget(
    etcd: &mut EtcdClient,
    prefix: &FleetPrefix,
    name: &FleetName,
) -> Result<ForgetOutcome, EtcdError> {
    let keys = HostKeys::of(prefix, name);
    let silent = Compare { key: &keys.report, revision: 0 };
    let delete = vec![Operation::Get(&keys.seen), Operation::Delete(&keys.seen)];
    let answer = etcd.transaction(Some(silent), delete, Vec::new()).await?;
    Ok(match (answer.met, answer.keys().next().is_none()) {
        (false, _) => ForgetOutcome::Reports,
        (true, true) => ForgetOutcome::Unknown,
        (true, false) => ForgetOutcome::Forgotten,
    })
}
