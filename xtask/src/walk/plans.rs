//! The plans, one a document.

mod certificates;
mod cut_over;
mod first_install;
mod lock_out;
mod modes;
mod monitoring;
mod other_tools;
mod running;
pub(super) mod start;

use super::plan::Plan;

/// In the order in which an operator reads them.
pub(super) const PLANS: &[Plan] = &[
    first_install::NGINX,
    first_install::CADDY,
    other_tools::PLAN,
    certificates::PLAN,
    cut_over::PLAN,
    modes::PLAN,
    lock_out::PLAN,
    monitoring::PLAN,
    running::PLAN,
];
