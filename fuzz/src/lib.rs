//! The comparisons of aop-http with independent readers: one source for its tests and for the fuzz
//! targets.

#[path = "../../aop-userspace/crates/http/tests/agreement/checks/mod.rs"]
pub mod checks;
