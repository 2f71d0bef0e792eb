//! Builds the initramfs of an emulated kernel: the kernel tests, the programs that they call with
//! their libraries, one kernel module and a script.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Kernel, cpio::CpioArchive, folder, run_silent};
use crate::{command, workspace};

/// The programs that the tests call.
const TOOLS: [&str; 2] = ["ip", "bpftool"];
/// The rest of the system: shell, mount, insmod, poweroff.
const BUSYBOX: &str = "/bin/busybox";
const VETH: &str = "drivers/net/veth";

/// Markers on the console, for [`machine`](super::machine).
pub(super) const BOOTED: &str = "aop-kernels: booted";
pub(super) const DONE: &str = "aop-kernels: done";

/// Writes the initramfs of `kernel` and returns its path.
pub(super) fn build(kernel: &Kernel, tests: &Path) -> Result<PathBuf> {
    let mut archive = CpioArchive::default();
    for path in ["proc", "sys", "dev", "tmp", "run", "sys/fs/bpf"] {
        archive.folder(path);
    }
    archive.device("dev/console", 5, 1);
    archive.file("init", script().as_bytes());
    archive.copy(&command::find("busybox").context("busybox is missing")?, BUSYBOX)?;
    archive.copy(&workspace::object(), &workspace::object().to_string_lossy())?;
    let veth = kernel.module(VETH).context("the kernel has no module veth")?;
    let compressed = veth.extension().is_some_and(|extension| extension == "xz");
    archive.copy(&veth, if compressed { "veth.ko.xz" } else { "veth.ko" })?;

    let stripped = stripped(tests)?;
    archive.copy(&stripped, "kernel-tests")?;
    let mut programs = vec![stripped];
    for tool in TOOLS {
        let program = command::find(tool).with_context(|| format!("`{tool}` is missing"))?;
        archive.copy(&program, &format!("/usr/sbin/{tool}"))?;
        programs.push(program);
    }
    for library in libraries(&programs)? {
        archive.copy(&library, &library.to_string_lossy())?;
    }
    let path = folder().join(format!("{}.cpio", kernel.version));
    fs::write(&path, archive.finish())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn script() -> String {
    format!(
        "#!{BUSYBOX} sh
{BUSYBOX} mkdir -p /bin /sbin
{BUSYBOX} --install -s /bin
export PATH=/usr/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
test -e /veth.ko || unxz /veth.ko.xz
insmod /veth.ko
ip link set lo up
echo \"{BOOTED} $(uname -r)\"
/kernel-tests --show-output --test-threads=1
echo \"{DONE} $?\"
poweroff -f
"
    )
}

/// The tests without debug information: a tenth of the size.
fn stripped(tests: &Path) -> Result<PathBuf> {
    let path = folder().join("kernel-tests");
    run_silent(Command::new("strip").arg("-o").arg(&path).arg(tests))?;
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
