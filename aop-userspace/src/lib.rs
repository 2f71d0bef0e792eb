//! The aop daemon and its command line.
//!
//! Two processes: `daemon` holds the privilege, `terminate` none; they talk over `channel`. Direction:
//! `cli → {daemon, terminate} → {firewall, terminator, prefixes, control} → {tls, config}`, and
//! beside them `cli → {explain, prove} → {firewall, control}`, and
//! `cli → doctor → {prove, firewall, prefixes, control, tls, config}`.
//! `firewall` and `terminator` never import each other: they meet in [`edge`], and `terminate` joins
//! them. Only `firewall` knows aya, only `tls` knows rustls' builders, only `cli` knows clap.

mod channel;
pub mod cli;
pub mod config;
pub mod confined;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod edge;
pub mod explain;
pub mod firewall;
pub mod prefixes;
pub mod prove;
mod state;
mod terminate;
pub mod terminator;
pub mod tls;
