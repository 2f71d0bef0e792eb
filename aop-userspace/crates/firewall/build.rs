//! Embeds the BPF object that `cargo xtask build-ebpf` leaves in `bpf/aop.o`. A build without it
//! works and says at run time what is missing.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    let object = fs::read("bpf/aop.o").unwrap_or_default();
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("aop.o"), object).expect("OUT_DIR is writable");
}
