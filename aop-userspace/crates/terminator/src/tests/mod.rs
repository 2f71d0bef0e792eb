//! The terminator on loopback, with real TLS clients and a real upstream.

mod crowds;
mod http;
mod lifecycle;
mod log;
mod names;
mod observing;
mod openings;
mod proxied;
mod refusals;
mod relaying;
mod resumption;
mod rig;
