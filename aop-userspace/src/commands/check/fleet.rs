//! The files of `[fleet]`. etcd is not asked. A file that cannot be used is a warning: the host
//! guards and serves without its fleet.

use aop_api::CheckedFleet;
use aop_config::FleetConfig;
use aop_fleet::FleetAccess;
use aop_types::unix_seconds;

use crate::output::count;

/// The settings, and the warnings about the files.
pub(super) fn checked(config: &FleetConfig) -> (CheckedFleet, Vec<String>) {
    let read = FleetAccess::read(config);
    let warnings = match &read {
        Ok(access) => {
            let expiries = access.expiries();
            expiries.iter().filter_map(|it| it.warning(unix_seconds())).collect()
        }
        Err(error) => vec![format!("fleet: {error}")],
    };
    let checked = CheckedFleet {
        endpoints: config.endpoints.iter().map(ToString::to_string).collect(),
        prefix: config.prefix.to_string(),
        name: config.name.as_ref().map(ToString::to_string),
        operators: config.operators.len(),
        error: read.err().map(|error| error.to_string()),
    };
    (checked, warnings)
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
