//! Peers and applications that are written by others speak through aop: curl, nghttp, Python's
//! `h2`, `h11`, grpcio and `websockets`, nginx and HAProxy.

mod curl;
mod grpc;
mod import;
mod mutants;
mod nghttp;
mod servers;
mod streams;
mod websockets;

use aop_tests::{AopToml, Lab, script};

use crate::stage::{in_ci, skip};

/// Debian's programs or Python modules.
enum Software {
    Programs(&'static [&'static str]),
    Modules(&'static [&'static str]),
}

/// Whether the software is there. If not, the test counts as skipped. In CI it is an error.
fn installed(software: &Software) -> bool {
    let (names, there) = match software {
        Software::Programs(names) => (names, names.iter().all(|name| in_path(name))),
        Software::Modules(names) => (names, script::has_modules(names)),
    };
    assert!(there || !in_ci(), "CI must have {names:?}");
    if !there {
        skip(&format!("needs {names:?}: `cargo xtask setup`"));
    }
    there
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn takes_http(config: &mut AopToml, _: &Lab) {
    config.site().upstream = String::from("http://127.0.0.1:9000");
}

fn takes_h2c(config: &mut AopToml, _: &Lab) {
    config.site().upstream = String::from("h2c://127.0.0.1:9000");
}
