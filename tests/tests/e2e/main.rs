//! Claims about aop, tried from outside on network namespaces. Each test's name is its claim.
//!
//! A claim about a refusal first shows a good peer passing, then the refusal, then that the
//! upstream saw no connection, and then the one counter that moved. Without root every test is
//! skipped and named; with `CI=true` that is a failure.
#![allow(clippy::print_stderr, reason = "the test runner shows it beside a failure")]

mod stage;

mod admission;
mod attachment;
mod audited;
mod bad_config;
mod bad_files;
mod bad_host;
mod boot;
mod budgets;
mod captures;
mod certificates;
mod checked;
mod control;
mod crowds;
mod doctor;
mod documents;
mod explained;
mod flood;
mod full_disk;
mod guard_only;
mod identities;
mod interfaces;
mod journal;
mod killed;
mod learning;
mod list;
mod managed;
mod metrics;
mod modes;
mod monitor;
mod names;
mod nothing_lost;
mod observing;
mod openings;
mod peers;
mod privilege;
mod proved;
mod proxied;
mod relay;
mod reload;
mod reloads;
mod renewed;
mod requests;
mod rules;
mod schemas;
mod shapes;
mod shutdown;
mod split;
mod told;
mod top;
mod upgrade;
mod wire;
mod withdrawal;
mod world;
