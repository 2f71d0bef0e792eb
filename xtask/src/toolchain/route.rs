//! Chooses a toolchain, as a pure function of the state of the machine.

use super::{
    compiler::Compiler,
    install::{NIGHTLY, NIGHTLY_LLVM, RUST_PACKAGES},
    linker::LLVMS,
    llvm,
};

/// The toolchain parts that a machine has or could install.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Compilers that can build for BPF, the preferred ones first.
    pub(crate) compilers: Vec<Compiler>,
    /// LLVM versions whose development files are installed.
    pub(crate) llvms: Vec<u32>,
    /// LLVM versions for which bpf-linker is built.
    pub(crate) linkers: Vec<u32>,
    /// LLVM versions whose development files apt can install.
    pub(crate) llvm_packages: Vec<u32>,
    /// Whether apt can install a rustc with the BPF target.
    pub(crate) rust_packages: bool,
    pub(crate) rustup: bool,
}

impl Machine {
    /// The first compiler whose LLVM and linker are present.
    pub(crate) fn ready(&self) -> Option<&Compiler> {
        let complete = |compiler: &&Compiler| {
            self.llvms.contains(&compiler.llvm) && self.linkers.contains(&compiler.llvm)
        };
        self.compilers.iter().find(complete)
    }

    /// The first compiler that lacks at most the linker.
    pub(crate) fn linkable(&self) -> Option<&Compiler> {
        let with_llvm = |compiler: &&Compiler| self.llvms.contains(&compiler.llvm);
        self.ready().or_else(|| self.compilers.iter().find(with_llvm))
    }

    fn gets_llvm(&self, major: u32) -> bool {
        self.llvms.contains(&major) || self.llvm_packages.contains(&major)
    }
}

/// A way to a complete toolchain.
#[derive(Debug, PartialEq)]
pub(crate) enum Route {
    /// Use this compiler; install LLVM's development files and the linker if they are missing.
    Installed(Compiler),
    /// Install a distribution's compiler from Debian packages.
    Packages,
    /// Install a pinned nightly with rust-src from rustup.
    Nightly,
}

impl Route {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Installed(compiler) => format!("using the installed {compiler}"),
            Self::Packages => format!("installing {} with apt", RUST_PACKAGES.join(" ")),
            Self::Nightly => format!("installing {NIGHTLY} with rustup"),
        }
    }
}

/// Chooses the route with the fewest installations: an installed compiler whose LLVM is present,
/// then one whose LLVM can be installed, then packages, then rustup.
pub(crate) fn choose(machine: &Machine) -> Option<Route> {
    let with_package = |compiler: &&Compiler| machine.llvm_packages.contains(&compiler.llvm);
    match machine.linkable().or_else(|| machine.compilers.iter().find(with_package)) {
        Some(compiler) => Some(Route::Installed(compiler.clone())),
        None if machine.rust_packages => Some(Route::Packages),
        None if machine.rustup && machine.gets_llvm(NIGHTLY_LLVM) => Some(Route::Nightly),
        None => None,
    }
}

/// Advice for the case that there is no route, or that the chosen one failed.
pub(crate) fn remedy(machine: &Machine) -> String {
    let found = machine.compilers.iter().map(|compiler| format!("Found {compiler}.\n"));
    let found: String = found.collect();
    let (oldest, newest) = (LLVMS.start(), LLVMS.end());
    let packages = RUST_PACKAGES.join(" ");
    let llvm = llvm::package(NIGHTLY_LLVM);
    format!(
        "{found}Do one of these two, then run `cargo xtask setup` again:
  1. Debian packages, as root:
       apt-get update && apt-get install {packages} {llvm}
  2. rustup, and LLVM {NIGHTLY_LLVM} (package {llvm}; if it is elsewhere, set LLVM_PREFIX):
       rustup toolchain install {NIGHTLY} --profile minimal --component rust-src
setup then builds bpf-linker; it and rustc must share one LLVM, {oldest} to {newest}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(name: &str, llvm: u32) -> Compiler {
        let programs = format!("/opt/{name}/bin").into();
        Compiler { name: name.to_owned(), programs, builds_core: false, llvm }
    }

    #[test]
    fn a_complete_toolchain_is_ready_whatever_else_is_installed() {
        let machine = Machine {
            compilers: vec![compiler("nightly", 23), compiler("distribution", 22)],
            llvms: vec![22, 23],
            linkers: vec![22],
            ..Machine::default()
        };
        assert_eq!(machine.ready(), Some(&compiler("distribution", 22)));
    }

    #[test]
    fn a_linker_without_its_llvm_is_not_enough() {
        let machine = Machine {
            compilers: vec![compiler("distribution", 22)],
            linkers: vec![22],
            ..Machine::default()
        };
        assert_eq!(machine.ready(), None);
    }

    #[test]
    fn a_compiler_with_its_llvm_beats_a_preferred_one_without() {
        let mut machine = Machine {
            compilers: vec![compiler("nightly", 23), compiler("distribution", 22)],
            llvms: vec![22],
            llvm_packages: vec![23],
            rust_packages: true,
            ..Machine::default()
        };
        assert_eq!(choose(&machine), Some(Route::Installed(compiler("distribution", 22))));
        machine.llvms.clear();
        assert_eq!(choose(&machine), Some(Route::Installed(compiler("nightly", 23))));
    }

    #[test]
    fn packages_are_preferred_to_rustup() {
        let machine = Machine {
            rust_packages: true,
            rustup: true,
            llvms: vec![NIGHTLY_LLVM],
            ..Machine::default()
        };
        assert_eq!(choose(&machine), Some(Route::Packages));
        assert_eq!(choose(&Machine { rust_packages: false, ..machine }), Some(Route::Nightly));
    }

    #[test]
    fn without_an_llvm_there_is_no_route() {
        let machine = Machine { rustup: true, ..Machine::default() };
        assert_eq!(choose(&machine), None);
        let advice = remedy(&machine);
        assert!(advice.contains("apt-get install") && advice.contains("rustup toolchain install"));
    }
}
