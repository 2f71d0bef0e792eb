//! The terminator on loopback, with real TLS clients and a real upstream.

mod client_hello;
mod http;
mod lifecycle;
mod log;
mod observe_mode;
mod pending_handshakes;
mod proxied;
mod refusals;
mod relaying;
mod resumption;
mod rig;
mod server_names;
