//! aop under a service manager: socket activation, notifications and the journal.

mod journald;
mod notify;
mod socket_activation;
