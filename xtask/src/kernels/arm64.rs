//! `kernels --arm64`: Debian for arm64 in an emulated machine. There the cross-built package is
//! installed, its daemon observes, and the kernel tests run.
//!
//! The machine itself configures the packages of that system: debootstrap's second stage runs in
//! it, before anything else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Series, TestPrograms,
    initramfs::{BOOTED, DONE, SKIPPED},
    machine::{self, Expected, Tests},
    modules, package, report, run_silent,
};
use crate::{command, dist, object, packages, workspace};

const SERIES: Series =
    Series { architecture: "arm64", ..super::series("6.1 for arm64", "6.1.", "bookworm") };
/// The time limit, with room for the second stage of debootstrap.
const TIME_LIMIT: Duration = Duration::from_secs(4800);
/// The packages of the system beside the smallest set: what the tests call.
const INCLUDED: &str = "--include=bpftool,iproute2,kmod,passwd,systemd";

pub(super) fn run(filter: &[String]) -> Result<()> {
    packages::ensure_for(&packages::ARM64_MACHINE)?;
    object::refresh()?;
    let package = dist::package_for_arm64()?;
    let tests = TestPrograms::kernel_tests_for_arm64()?;
    let kernel = package::fetch(&SERIES).context("there is no kernel for arm64")?;
    let root = super::folder().join("arm64-root");
    bootstrap(&root)?;
    fill(&root, &kernel, &package, &tests, filter)?;
    let initramfs = super::folder().join("arm64.cpio");
    eprintln!("packing the system");
    let pack = r#"cd "$1" && find . | cpio --quiet --create --format=newc > "$2""#;
    run_silent(Command::new("sh").args(["-c", pack, "sh"]).args([&root, &initramfs]))?;
    fs::remove_dir_all(&root).context("cannot remove the system")?;

    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-machine", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a72"]);
    qemu.args(["-smp", "2", "-m", "4096", "-nic", "none"]);
    qemu.args(["-append", "console=ttyAMA0 quiet panic=-1"]);
    qemu.arg("-kernel").arg(kernel.image()?).arg("-initrd").arg(&initramfs);
    let started = Instant::now();
    let expected = Expected { tests: Tests::of(filter), within: TIME_LIMIT };
    let course = machine::run(qemu, "", &kernel.log(), expected)?;
    fs::remove_file(&initramfs).context("cannot remove the initramfs")?;
    println!("{}", report(&kernel, &course, started.elapsed()));
    match course.outcome.failed {
        0 => Ok(()),
        failed => bail!("failed tests: {failed}"),
    }
}

/// The first stage of debootstrap: fetches and unpacks, and runs nothing for arm64.
fn bootstrap(root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).context("cannot remove the last system")?;
    }
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.args(["--arch=arm64", "--foreign", "--variant=minbase", INCLUDED]);
    bootstrap.arg(SERIES.release).arg(root);
    eprintln!("+ {}", command::line(&bootstrap));
    run_silent(&mut bootstrap)
}

/// Adds the package, the tests, a kernel module and the script to the system.
fn fill(
    root: &Path,
    kernel: &package::Kernel,
    package: &Path,
    tests: &Path,
    filter: &[String],
) -> Result<()> {
    let copy = |from: &Path, to: &str| -> Result<()> {
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(root))?;
        let copied = fs::copy(from, &to).map(drop);
        copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
    };
    copy(package, "aop.deb")?;
    copy(&workspace::object(), &workspace::object().to_string_lossy())?;
    let stripped = root.join("kernel-tests");
    run_silent(Command::new("aarch64-linux-gnu-strip").arg("-o").arg(&stripped).arg(tests))?;
    let mut modules = Vec::new();
    for file in modules::files(&kernel.base(), &kernel.version, &modules::USED)? {
        let path = kernel.base().join("lib/modules").join(&kernel.version).join(&file);
        let place = format!("modules/{}", file.rsplit('/').next().unwrap_or(&file));
        copy(&path, &place)?;
        modules.push(place);
    }
    // In a container, debootstrap makes it a link to itself.
    let proc = root.join("proc");
    if proc.is_symlink() {
        fs::remove_file(&proc)?;
        fs::create_dir(&proc)?;
    }
    let init = root.join("init");
    fs::write(&init, script(&modules, filter))?;
    run_silent(Command::new("chmod").arg("755").arg(&init))
}

fn script(modules: &[String], filter: &[String]) -> String {
    let load: String = modules.iter().map(|path| format!("insmod /{path}\n")).collect();
    format!(
        "#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
export AOP_TEST_SLOWER=10 NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
/debootstrap/debootstrap --second-stage >/second-stage.log 2>&1 || tail /second-stage.log
# The second stage unmounts both when it ends.
mountpoint --quiet /proc || mount -t proc proc /proc
mountpoint --quiet /sys || mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf
{load}ip link set lo up
ip link add uplink type veth peer name far
ip link set far up
ip link set uplink up
ip address add 192.0.2.1/24 dev uplink
ip route add default via 192.0.2.2
echo \"{BOOTED} $(uname -rm)\"

dpkg --install /aop.deb
aop --version
aop run >/aop.log 2>&1 &
result=FAILED
for second in $(seq 120); do
    sleep 1
    if aop status | grep 'attached, observing'; then
        result=ok
        break
    fi
done
aop status
test $result = ok || cat /aop.log
echo \"test the_package_is_installed_and_its_daemon_observes ... $result\"
test $result = ok && counts='1 passed; 0 failed' || counts='0 passed; 1 failed'
echo \"test result: $result. $counts; 0 ignored; 0 measured; 0 filtered out\"
kill $!
wait $!

/kernel-tests --color=never --show-output --test-threads=1 {} {SKIPPED}
echo \"{DONE} $?\"
echo o >/proc/sysrq-trigger
sleep 60
",
        filter.join(" ")
    )
}

impl TestPrograms {
    fn kernel_tests_for_arm64() -> Result<PathBuf> {
        let mut cargo = command::cargo("test");
        cargo.args(["--no-run", "--quiet", "--package", "aop-firewall", "--test", "kernel"]);
        dist::cross_compile(&mut cargo);
        Self::built(&command::output(cargo.arg("--message-format=json"))?, "kernel")
    }
}
