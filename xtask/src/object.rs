//! `build-ebpf`: builds the packet program into the object that aop-userspace embeds.
//!
//! The object is stored only after it was stripped of DWARF and passed the checks of its sections
//! and budgets, and only if its bytes changed, so that nothing is rebuilt without need.

mod budget;
mod sections;

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use budget::Instructions;

use crate::{
    command,
    toolchain::{self, Toolchain},
    workspace,
};

/// The feature that selects the map layout of tomorrow, which the tests of the migration need.
pub(crate) const NEXT_LAYOUT: &str = "next-layout";

/// Builds the object and reports on it.
pub(crate) fn build() -> Result<()> {
    let object = compile(&[])?;
    let report = inspect(&object)?;
    store(&object, &workspace::object())?;
    println!("{report}");
    Ok(())
}

/// Builds the object for another verb; prints nothing if it is unchanged.
pub(crate) fn refresh() -> Result<()> {
    let object = compile(&[])?;
    if !is_stored(&object, &workspace::object()) {
        let report = inspect(&object)?;
        store(&object, &workspace::object())?;
        eprintln!("{report}");
    }
    Ok(())
}

/// Builds the object with the layout of tomorrow, beside the other.
pub(crate) fn refresh_next() -> Result<()> {
    let object = compile(&["--features", &format!("aop-common/{NEXT_LAYOUT}")])?;
    store(&object, &workspace::object().with_file_name(format!("aop-{NEXT_LAYOUT}.o")))
}

fn compile(features: &[&str]) -> Result<Vec<u8>> {
    let toolchain = toolchain::ready()?;
    command::run_quiet_when_fresh(toolchain.cargo("build").args(features))
        .context("the packet program does not build")?;
    strip(&toolchain)
}

/// Removes DWARF; the linker has already made BTF from it. BTF itself stays.
fn strip(toolchain: &Toolchain) -> Result<Vec<u8>> {
    let (full, stripped) = (toolchain.output(), toolchain.output().with_extension("o"));
    let mut objcopy = Command::new(toolchain.llvm_program("llvm-objcopy"));
    command::run(objcopy.arg("--strip-debug").arg(full).arg(&stripped))?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

fn inspect(object: &[u8]) -> Result<Report> {
    sections::check(object)?;
    budget::check_size(object.len())?;
    let instructions = budget::count_instructions(object)?;
    Ok(Report { size: object.len(), instructions })
}

fn is_stored(object: &[u8], place: &Path) -> bool {
    fs::read(place).is_ok_and(|stored| stored == object)
}

/// Replaces the stored object atomically, so that a concurrent build sees the old or the new one.
fn store(object: &[u8], place: &Path) -> Result<()> {
    if is_stored(object, place) {
        return Ok(());
    }
    let write = || {
        fs::create_dir_all(place.with_file_name(""))?;
        let new = place.with_extension("o.new");
        fs::write(&new, object)?;
        fs::rename(new, place)
    };
    write().with_context(|| format!("cannot write {}", place.display()))
}

struct Report {
    size: usize,
    instructions: Instructions,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (place, budget) = (workspace::object(), budget::SIZE);
        let place = workspace::short(&place);
        write!(f, "{place}: {} of {budget} bytes, {}", self.size, self.instructions)
    }
}
