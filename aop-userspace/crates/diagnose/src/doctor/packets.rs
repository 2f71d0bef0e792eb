//! The packet lock: whether it filters wherever a guarded port can be reached, and ways around it.

mod clock;
mod ephemeral;
mod evasions;
mod exposed;
mod firewall_state;
mod list;
mod open_ports;
mod packet_filter;
mod ports;
mod private;
mod program_runs;
mod udp;
mod unfiltered;
mod upstream;
mod upstream_answers;

use super::{Check, start};

/// The checks, in the order of the report.
pub(super) const CHECKS: &[Check] = &[
    firewall_state::check,
    start::check,
    ports::check,
    exposed::check,
    unfiltered::check,
    udp::check,
    upstream::check,
    upstream_answers::check,
    open_ports::check,
    list::check,
    clock::check,
    ephemeral::check,
    packet_filter::check,
    evasions::check,
    program_runs::check,
];
