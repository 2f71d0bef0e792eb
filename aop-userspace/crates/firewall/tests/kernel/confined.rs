//! Behind the terminator's fence no map is made and no program loaded, whoever asks: here it is root.

use std::thread;

use aop_common::Mode;
use aop_firewall::{PacketLog, Trial};
use aop_sandbox::{Names, raise};

use super::{SLOT, policy};

#[test]
fn no_map_is_made_and_no_program_loaded_behind_a_fence() {
    let load = || Trial::new(&policy(Mode::Enforce), SLOT, PacketLog::Off).map(drop);
    load().expect("it loads where nothing is fenced");
    let fenced = thread::spawn(move || {
        raise(Names::Now).expect("a fence");
        load().expect_err("no program").to_string()
    });
    let told = fenced.join().expect("no panic");
    assert!(told.starts_with("no privilege to create the BPF maps"), "{told}");
}
