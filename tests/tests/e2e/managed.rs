//! A service manager starts it: hands over sockets, and is told how it goes.

mod activation;
mod notices;
