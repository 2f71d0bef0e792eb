//! Distribution packages: the tools that demo, tests and benchmarks drive, and apt.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{command, privilege::Privilege};

/// A program that a verb drives.
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const TOOLS: [Tool; 7] = [
    tool("cc", "gcc", "builds the TLS library's C code"),
    tool("ip", "iproute2", "makes network namespaces and links"),
    tool("nsenter", "util-linux", "runs programs inside a namespace"),
    tool("curl", "curl", "makes origin pulls as an edge would"),
    tool("openssl", "openssl", "makes handshakes that curl cannot"),
    tool("bpftool", "bpftool", "loads the object as libbpf would"),
    tool("nft", "nftables", "publishes ports as container engines do, and filters to compare"),
];

/// What `kernels` drives beside these.
pub(crate) const KERNELS: [Tool; 4] = [
    tool("qemu-system-x86_64", "qemu-system-x86", "emulates a machine"),
    tool("busybox", "busybox-static", "is the system that the emulated kernel starts"),
    tool("strip", "binutils", "makes the tests small"),
    tool("ldd", "libc-bin", "tells which libraries the tests need"),
];

/// What gets and runs the decoder of PROXY headers.
pub(crate) const DECODER: [Tool; 2] = [
    tool("python3", "python3", "reads PROXY headers with a decoder that is not ours"),
    tool("pip3", "python3-pip", "fetches that decoder from PyPI"),
];

/// What `dist` drives beside these.
pub(crate) const PACKAGING: [Tool; 2] = [
    tool("dpkg-shlibdeps", "dpkg-dev", "finds the libraries that a package depends on"),
    tool("debootstrap", "debootstrap", "makes a clean system to install the package in"),
];

/// What `dist --arm64` drives beside these.
pub(crate) const ARM64: [Tool; 2] = [
    tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "builds C code and links for arm64"),
    tool("qemu-aarch64-static", "qemu-user-static", "runs the program for arm64"),
];

/// What `dist --container` drives beside these.
pub(crate) const CONTAINERS: [Tool; 3] = [
    tool("dockerd", "docker.io", "runs the image"),
    tool("docker", "docker.io", "builds the image"),
    tool("runc", "runc", "runs the image"),
];

/// What `bench firewall` compares with. Each is measured where it can be had.
pub(crate) const PACKET_RIVALS: [Tool; 2] = [
    tool("xdp-filter", "xdp-tools", "filters the same frames, to compare"),
    tool("ethtool", "ethtool", "makes a veth take frames for nft as fast as for XDP"),
];

/// What `bench terminator` compares with. Each is measured where it can be had.
pub(crate) const TLS_RIVALS: [Tool; 3] = [
    tool("nginx", "libnginx-mod-stream", "ends TLS for the same upstream, to compare"),
    tool("haproxy", "haproxy", "ends TLS for the same upstream, to compare"),
    tool("hitch", "hitch", "ends TLS for the same upstream, to compare"),
];

const fn tool(program: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool { program, package, purpose }
}

/// Installs the tools that are missing; says which are, where it cannot.
pub(crate) fn ensure() -> Result<()> {
    install_missing(&TOOLS)
}

/// The same, with the tools of one verb.
pub(crate) fn ensure_for(tools: &[Tool]) -> Result<()> {
    ensure()?;
    install_missing(tools)
}

/// Installs what a benchmark compares with, as far as it can be had.
pub(crate) fn try_rivals(rivals: &[Tool]) {
    for rival in rivals {
        if let Err(error) = install_missing(std::slice::from_ref(rival)) {
            eprintln!("warning: {error:#}");
        }
    }
}

fn install_missing(tools: &[Tool]) -> Result<()> {
    let absent = |tool: &&Tool| command::find(tool.program).is_none();
    let missing: Vec<_> = tools.iter().filter(absent).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    if apt_works() {
        return install(&packages);
    }
    for tool in missing {
        eprintln!(
            "warning: `{}` is missing: it {}; install it (Debian package {})",
            tool.program, tool.purpose, tool.package
        );
    }
    Ok(())
}

/// Whether packages can be installed without asking anybody.
pub(crate) fn apt_works() -> bool {
    command::find("apt-get").is_some() && apt("true").is_ok_and(|mut check| succeeds(&mut check))
}

/// Whether the package lists name all these.
pub(crate) fn knows(packages: &[&str]) -> bool {
    packages.iter().all(|package| {
        let answer = command::output(Command::new("apt-cache").args(["policy", package]));
        answer.is_ok_and(|policy| has_candidate(&policy))
    })
}

/// Installs packages. Package lists may be missing, or so old that they name files that are gone:
/// then they are fetched, and the installation is tried once more.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let attempt = || {
        let mut command = apt("apt-get")?;
        command.args(["install", "--yes", "--no-install-recommends", "-qq"]).args(packages);
        command::run_shown(&mut command)
    };
    if attempt().is_ok() {
        return Ok(());
    }
    update()?;
    attempt().with_context(|| format!("cannot install the packages {}", packages.join(" ")))
}

/// Fetches the package lists.
pub(crate) fn update() -> Result<()> {
    let mut command = apt("apt-get")?;
    command::run_shown(command.args(["update", "-qq"])).context("cannot fetch the package lists")
}

/// Reads `apt-cache policy`, which says nothing at all of a name it never heard.
fn has_candidate(policy: &str) -> bool {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"));
    candidate.is_some_and(|version| version.trim() != "(none)")
}

/// A program with the right to install packages, that asks no questions.
fn apt(program: &str) -> Result<Command> {
    let noninteractive = "DEBIAN_FRONTEND=noninteractive";
    let mut command = Command::new("env");
    if !Privilege::current()?.is_root() {
        if command::find("sudo").is_none() {
            bail!("installing packages needs root, and there is no sudo");
        }
        command = Command::new("sudo");
        command.args(["-n", "env"]);
    }
    command.args([noninteractive, program]);
    Ok(command)
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_candidate_is_not_known() {
        assert!(has_candidate("curl:\n  Installed: (none)\n  Candidate: 7.88.1-10\n"));
        assert!(!has_candidate("curl:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }
}
