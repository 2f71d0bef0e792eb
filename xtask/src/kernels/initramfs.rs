//! Builds the initramfs of an emulated kernel: the test programs, the programs that they call with
//! their libraries, kernel modules and a script.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Kernel, TestPrograms,
    cards::{self, Card},
    cpio::CpioArchive,
    folder, modules, run_silent,
};
use crate::{command, workspace};

/// The programs that the tests call.
const TOOLS: [&str; 4] = ["ip", "bpftool", "nsenter", "setpriv"];
/// The kernel tests that take the longest and depend on no kernel: two test the comparison of the
/// others, and generated frames under every mode are tested, too.
pub(super) const SKIPPED: &str =
    "--skip the_comparison_detects --skip every_fixture_follows_the_mode";
/// The rest of the system: shell, mount, insmod, poweroff.
const BUSYBOX: &str = "/bin/busybox";
/// The folder of the test programs, as cargo arranges them.
const PROGRAMS: &str = "/tests/deps";
const STARTED: &str = "/tests";

/// Markers on the console, for [`machine`](super::machine).
pub(super) const BOOTED: &str = "aop-kernels: booted";
pub(super) const DONE: &str = "aop-kernels: done";

/// Writes the initramfs of `kernel` and returns its path. In it, the tests of `programs` run that
/// match `filter`, except those of cards that QEMU does not emulate.
pub(super) fn build(
    kernel: &Kernel,
    programs: &TestPrograms,
    cards: &[Card],
    filter: &[String],
) -> Result<PathBuf> {
    let mut archive = CpioArchive::default();
    for path in ["proc", "sys", "dev", "tmp", "run", "root", "sys/fs/bpf"] {
        archive.folder(path);
    }
    archive.device("dev/console", 5, 1);
    archive.copy(&command::find("busybox").context("busybox is missing")?, BUSYBOX)?;
    archive.copy(&workspace::object(), &workspace::object().to_string_lossy())?;
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n");

    let loaded = load_modules(kernel, cards, &mut archive)?;
    archive.file("init", script(&loaded, cards, filter).as_bytes());

    let mut linked = Vec::new();
    let tests = [&programs.kernel, &programs.cards]
        .into_iter()
        .zip([format!("{PROGRAMS}/kernel"), format!("{PROGRAMS}/cards")]);
    let started = programs.started.iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        Some((path, format!("{STARTED}/{name}")))
    });
    for (program, place) in tests.chain(started) {
        let stripped = stripped(program)?;
        archive.copy(&stripped, &place)?;
        linked.push(stripped);
    }
    for tool in TOOLS {
        let program = command::find(tool).with_context(|| format!("`{tool}` is missing"))?;
        archive.copy(&program, &format!("/usr/sbin/{tool}"))?;
        linked.push(program);
    }
    for library in libraries(&linked)? {
        archive.copy(&library, &library.to_string_lossy())?;
    }
    let path = folder().join(format!("{}.cpio", kernel.version));
    fs::write(&path, archive.finish())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Adds the modules that the tests use, and returns their paths in the order of loading.
fn load_modules(kernel: &Kernel, cards: &[Card], archive: &mut CpioArchive) -> Result<Vec<String>> {
    let wanted: Vec<&str> =
        modules::USED.into_iter().chain(cards.iter().map(|card| card.module)).collect();
    let base = kernel.base();
    let mut loaded = Vec::new();
    for file in modules::files(&base, &kernel.version, &wanted)? {
        let path = base.join("lib/modules").join(&kernel.version).join(&file);
        let name = file.rsplit('/').next().unwrap_or(&file);
        let place = format!("/modules/{}", name.trim_end_matches(".xz"));
        match name.ends_with(".xz") {
            true => archive.file(&place, &unpacked(&path)?),
            false => archive.copy(&path, &place)?,
        }
        loaded.push(place);
    }
    Ok(loaded)
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    let output = Command::new("busybox").args(["unxz", "-c"]).arg(path).output();
    let output = output.context("cannot start busybox")?;
    anyhow::ensure!(output.status.success(), "cannot unpack {}", path.display());
    Ok(output.stdout)
}

fn script(modules: &[String], cards: &[Card], filter: &[String]) -> String {
    let load: String = modules.iter().map(|path| format!("insmod {path}\n")).collect();
    let names: Vec<&str> = cards.iter().map(|card| card.name).collect();
    let skipped: String = cards::missing(cards).map(|name| format!(" --skip {name}")).collect();
    let on_cards = if cards.is_empty() { "true" } else { &format!("{PROGRAMS}/cards") };
    let options = format!("--show-output --test-threads=1 {}", filter.join(" "));
    format!(
        "#!{BUSYBOX} sh
{BUSYBOX} mkdir -p /bin /sbin
{BUSYBOX} --install -s /bin
export PATH=/usr/sbin:/bin HOME=/root AOP_TEST_SLOWER=6 AOP_CARDS='{}'
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
{load}ip link set lo up
echo \"{BOOTED} $(uname -r)\"
{PROGRAMS}/kernel {options} {SKIPPED}
kernel=$?
{on_cards} {options}{skipped}
echo \"{DONE} $kernel $?\"
poweroff -f
",
        names.join(" ")
    )
}

/// A program without debug information: a tenth of the size.
fn stripped(program: &Path) -> Result<PathBuf> {
    let name = program.file_name().context("a program without a name")?;
    let path = folder().join("stripped").join(name);
    fs::create_dir_all(folder().join("stripped"))?;
    run_silent(Command::new("strip").arg("-o").arg(&path).arg(program))?;
    Ok(path)
}

/// The libraries of these programs, and the loader.
fn libraries(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let text = command::output(Command::new("ldd").args(programs))?;
    let mut paths: Vec<_> = text.lines().filter_map(library).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Reads a line of ldd: `libc.so.6 => /lib/libc.so.6 (0x…)`, or the path of the loader.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.rsplit_once("=> ").map_or(line, |(_, path)| path).split_whitespace().next()?;
    (path.starts_with('/') && !line.ends_with(':')).then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_in_the_output_of_ldd() {
        for (line, path) in [
            (
                "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)",
                Some("/lib/x86_64-linux-gnu/libc.so.6"),
            ),
            ("\t/lib64/ld-linux-x86-64.so.2 (0x7f)", Some("/lib64/ld-linux-x86-64.so.2")),
            ("\tlinux-vdso.so.1 (0x7ffd)", None),
            ("/usr/sbin/ip:", None),
            ("\tstatically linked", None),
        ] {
            assert_eq!(library(line), path.map(PathBuf::from), "{line}");
        }
    }
}
