//! Embeds the BPF object that `cargo xtask build-ebpf` leaves in `bpf/aop.o`. A build without it
//! works and says at run time what is missing.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    let next = env::var_os("CARGO_FEATURE_NEXT_LAYOUT").is_some();
    let object = if next { "bpf/aop-next-layout.o" } else { "bpf/aop.o" };
    let object = fs::read(object).unwrap_or_default();
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("aop.o"), object).expect("OUT_DIR is writable");
}
