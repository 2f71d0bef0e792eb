//! In the terminator's sandbox no map can be created and no program loaded, even by root.

use std::thread;

use aop_common::Mode;
use aop_firewall::{PacketLog, TestProgram};
use aop_sandbox::{NameLookup, enter};

use super::{SLOT, policy};

#[test]
fn no_map_is_created_and_no_program_loaded_in_the_sandbox() {
    let load = || TestProgram::new(&policy(Mode::Enforce), SLOT, PacketLog::Off).map(drop);
    load().expect("it loads outside of the sandbox");
    let sandboxed = thread::spawn(move || {
        enter(NameLookup::AtStart).expect("a sandbox");
        load().expect_err("no program").to_string()
    });
    let error = sandboxed.join().expect("no panic");
    assert!(error.starts_with("no privilege to create the BPF maps"), "{error}");
}
