//! A service manager starts it: hands over sockets, and is told how it goes.

mod journald;
mod notify;
mod socket_activation;
