//! The aop daemon and its command line.
//!
//! Direction: `cli → daemon → {firewall, terminator, prefixes, control} → {tls, config}`, and beside
//! the daemon `cli → {explain, prove} → {firewall, control}`.
//! `firewall` and `terminator` never import each other: they meet in [`edge`], and `daemon` joins
//! them. Only `firewall` knows aya, only `tls` knows rustls' builders, only `cli` knows clap.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod edge;
pub mod explain;
pub mod firewall;
pub mod prefixes;
pub mod prove;
mod state;
pub mod terminator;
pub mod tls;
