//! The admin API over Unix sockets: one request and one document for each connection. One socket
//! accepts every request from its owner; the other accepts requests that read, from a group, too.
//!
//! Also its client, and the status that the pinned maps hold without a daemon. What a request does
//! is decided by the [`RequestHandler`], the daemon.

mod client;
mod listener;
mod maps_status;
mod request_handler;
mod socket;

pub use client::{AllowedClients, ClientError, send_request};
pub use maps_status::status_from_maps;
pub use request_handler::{RequestHandler, Requester, Response};
pub use socket::{ControlError, ControlSocket, readers_group};
