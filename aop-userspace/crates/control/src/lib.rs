//! The admin API: one request and one document, over a Unix socket that only its owner may open, or
//! one that only reads; its client; and the status that needs no daemon.

mod answer;
mod ask;
mod door;
mod offline;

mod socket;

pub use answer::{Answer, RequestHandler, Requester};
pub use ask::{ClientError, ask};
pub use offline::from_firewall;
pub use socket::{ControlError, ControlSocket, readers_group};
