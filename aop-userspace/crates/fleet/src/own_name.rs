//! The name of this host in its fleet.

use std::fs;

use aop_config::{FleetConfig, FleetName};

/// The configured name, or that of the host.
///
/// # Errors
/// The name of the host is none for a fleet.
pub fn own_name(config: &FleetConfig) -> Result<FleetName, String> {
    match &config.name {
        Some(name) => Ok(name.clone()),
        None => {
            let name = fs::read_to_string("/proc/sys/kernel/hostname");
            name.map_err(|error| format!("this host has no name: {error}"))?.trim_end().parse()
        }
    }
}
