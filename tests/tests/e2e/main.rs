//! Claims about aop, tried from outside on network namespaces. Each test's name is its claim.
//!
//! A claim about a refusal first shows a good peer passing, then the refusal, then that the
//! upstream saw no connection, and then the one counter that moved. Without root every test is
//! skipped and named; with `CI=true` that is a failure.
#![allow(clippy::print_stderr, reason = "the test runner shows it beside a failure")]

mod stage;
mod status_check;
mod status_screen;

mod admission;
mod audit_log;
mod bad_config;
mod bad_files;
mod bad_host;
mod boot;
mod byte_relay;
mod ca;
mod capabilities;
mod certificate_rules;
mod check;
mod client_certificates;
mod cloudflare;
mod control;
mod daemon_killed;
mod doctor;
mod documented_commands;
mod documented_json;
mod explain;
mod fail_closed;
mod failed_change;
mod failed_start;
mod firewall_only;
mod fleet;
mod full_disk;
mod harness;
mod http_relay;
mod identities;
mod interfaces;
mod log_and_status;
mod metrics;
mod modes;
mod monitor;
mod openings;
mod other_software;
mod overload;
mod packet_table;
mod peers;
mod prefix_list;
mod privilege_separation;
mod probation;
mod prove;
mod proxy_protocol;
mod reloading;
mod revocation_lists;
mod server_names;
mod service_manager;
mod shutdown;
mod status_page;
mod strangers;
mod syn_flood;
mod top;
mod unusual_connections;
mod upgrade;
