//! What the packet path costs and carries, in one run and beside what one would use instead.
//!
//! Three tables: nanoseconds a packet under BPF_PROG_TEST_RUN, beside an empty program and
//! xdp-filter, with a long list, and with every optional rule; frames a second over a veth pair, also
//! while drops are followed, beside nftables with the same list in three hooks; and what replacing a
//! long list does to frames that run meanwhile. Needs root. Everything happens in
//! namespaces of this process, which end with it. `AOP_BENCH_JSON` names the file for the figures.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

mod cost;
mod host;
mod lists;
mod live;
mod nft;
mod programs;
mod swap;
mod xdp_filter;

use std::{fs, path::PathBuf};

use serde_json::json;

fn main() {
    let host = host::Host::alone();
    let cost = cost::measure(&host);
    let live = live::measure(&host);
    let swap = swap::measure(&host);
    let Some(path) = std::env::var_os("AOP_BENCH_JSON").map(PathBuf::from) else { return };
    let figures = json!({ "cost_ns": cost, "live": live, "swap": swap });
    fs::create_dir_all(path.with_file_name("")).unwrap();
    fs::write(&path, format!("{figures:#}\n")).unwrap();
    println!("\nfigures: {}", path.display());
}
