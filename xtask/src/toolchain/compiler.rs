//! Finds the installed compilers that can build for the BPF target.

use std::{
    env,
    fmt::{self, Display, Formatter},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{TARGET, linker};
use crate::command;

/// The oldest rustc that can build the workspace: `1.MINOR`.
const MINOR: u32 = 95;

/// A compiler, and the source of its `core` for BPF.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiler {
    pub(crate) name: String,
    /// The folder of its programs.
    pub(crate) programs: PathBuf,
    /// Whether it builds `core` from rust-src; otherwise it includes `core` for BPF.
    pub(crate) builds_core: bool,
    /// The major version of its LLVM.
    pub(crate) llvm: u32,
}

impl Compiler {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

impl Display for Compiler {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} (LLVM {})", self.name, self.programs.display(), self.llvm)
    }
}

/// All usable compilers, the preferred ones first: nightlies, the newest first, then the
/// distribution's.
pub(crate) fn installed() -> Vec<Compiler> {
    let mut compilers: Vec<_> = nightlies().iter().filter_map(|sysroot| nightly(sysroot)).collect();
    compilers.extend(distribution());
    compilers
}

fn nightlies() -> Vec<PathBuf> {
    let home = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".rustup")));
    let entries = home.and_then(|home| fs::read_dir(home.join("toolchains")).ok());
    let mut sysroots: Vec<_> =
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    sysroots.sort();
    sysroots.reverse();
    sysroots
}

fn nightly(sysroot: &Path) -> Option<Compiler> {
    let name = sysroot.file_name()?.to_str().filter(|name| name.starts_with("nightly"))?;
    let source = sysroot.join("lib/rustlib/src/rust/library/core");
    source.is_dir().then(|| compiler(name, sysroot, true))?
}

fn distribution() -> Option<Compiler> {
    let sysroot = Path::new("/usr");
    let core = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    core.is_dir().then(|| compiler("the distribution's rustc", sysroot, false))?
}

fn compiler(name: &str, sysroot: &Path, builds_core: bool) -> Option<Compiler> {
    let programs = sysroot.join("bin");
    if !programs.join("cargo").is_file() {
        return None;
    }
    let mut asked = Command::new(programs.join("rustc"));
    command::forget_own_build(&mut asked);
    let (minor, llvm) = versions(&command::output(asked.arg("-vV")).ok()?)?;
    let usable = minor >= MINOR && linker::LLVMS.contains(&llvm);
    usable.then(|| Compiler { name: name.to_owned(), programs, builds_core, llvm })
}

/// Reads `rustc -vV`: the minor version, and the major version of its LLVM.
fn versions(text: &str) -> Option<(u32, u32)> {
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
    let minor = field("release: 1.")?.split('.').next()?;
    let llvm = field("LLVM version: ")?.split('.').next()?;
    Some((minor.parse().ok()?, llvm.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_output_of_rustc() {
        let text = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nhost: x86_64-unknown-linux-gnu\n\
                    release: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(versions(text), Some((97, 22)));
        assert_eq!(versions("release: 1.97.0\n"), None);
    }
}
