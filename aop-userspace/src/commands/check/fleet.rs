//! The files of `[fleet]`. etcd is not asked. A file that cannot be used is a warning: the host
//! guards and serves without its fleet.

use aop_api::CheckedFleet;
use aop_config::FleetConfig;
use aop_fleet::FleetAccess;

use crate::output::count;

pub(super) fn checked(config: &FleetConfig) -> CheckedFleet {
    CheckedFleet {
        endpoints: config.endpoints.iter().map(ToString::to_string).collect(),
        prefix: config.prefix.to_string(),
        name: config.name.as_ref().map(ToString::to_string),
        operators: config.operators.len(),
        error: FleetAccess::read(config).err().map(|error| error.to_string()),
    }
}

pub(super) fn warning(checked: &CheckedFleet) -> Option<String> {
    checked.error.as_ref().map(|error| format!("fleet: {error}"))
}

/// The link, for people.
pub(super) fn line(checked: &CheckedFleet) -> String {
    let CheckedFleet { endpoints, prefix, name, operators, .. } = checked;
    let name = name.as_deref().unwrap_or("its host name");
    let obeys = match operators {
        0 => "obeys no operator".to_owned(),
        some => format!("obeys {}", count(*some, "operator")),
    };
    format!("fleet {prefix} as {name} ({}), {obeys}", count(endpoints.len(), "endpoint"))
}
