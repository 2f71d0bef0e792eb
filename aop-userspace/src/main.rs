//! The binary `aop`.

use std::process::ExitCode;

fn main() -> ExitCode {
    aop_userspace::cli::main()
}
