//! Debian packages of the tools that demo, tests and benchmarks use, and their installation with
//! apt.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{command, privilege::Privilege};

/// A program that a verb uses.
pub(crate) struct Tool {
    /// Its name in the path, the path of a file, or a file below [`MODULES`].
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

/// The directory of Python modules in Debian's packages.
const MODULES: &str = "/usr/lib/python3/dist-packages";

const TOOLS: [Tool; 8] = [
    tool("cc", "gcc", "builds the TLS library's C code"),
    tool("ip", "iproute2", "makes network namespaces and links"),
    tool("nsenter", "util-linux", "runs programs inside a namespace"),
    tool("curl", "curl", "makes origin pulls as an edge would"),
    tool("openssl", "openssl", "makes handshakes that curl cannot"),
    tool("bpftool", "bpftool", "loads the object as libbpf would"),
    tool("strace", "strace", "makes system calls fail"),
    tool("nft", "nftables", "publishes ports as container engines do, and is measured"),
];

/// The additional tools of `kernels`.
pub(crate) const KERNELS: [Tool; 6] = [
    tool("qemu-system-x86_64", "qemu-system-x86", "emulates a machine"),
    tool("busybox", "busybox-static", "is the system of the emulated kernel"),
    tool("strip", "binutils", "strips the tests"),
    tool("ldd", "libc-bin", "lists the libraries of the tests"),
    tool("depmod", "kmod", "lists the modules that a module needs"),
    tool("unshare", "util-linux", "keeps the links of the emulated cards apart"),
];

/// The tools that install and run the decoder of PROXY headers.
pub(crate) const DECODER: [Tool; 2] = [
    tool("python3", "python3", "reads PROXY headers with an independent decoder"),
    tool("pip3", "python3-pip", "fetches that decoder from PyPI"),
];

/// The peers and applications of the end-to-end tests that others have written. A Python module
/// is named by its file.
pub(crate) const OTHER_SOFTWARE: [Tool; 13] = [
    tool("nghttp", "nghttp2-client", "makes origin pulls over HTTP/2"),
    tool("h2load", "nghttp2-client", "makes many origin pulls over HTTP/2"),
    tool("nginx", "nginx", "is an edge and an application"),
    tool("haproxy", "haproxy", "is an edge and an application"),
    module("h2/__init__.py", "python3-h2", "is an application over HTTP/2"),
    module("hpack/__init__.py", "python3-hpack", "writes any header block"),
    module("hyperframe/__init__.py", "python3-hyperframe", "writes any frame"),
    module("h11/__init__.py", "python3-h11", "reads HTTP/1.1 strictly"),
    module("grpc/__init__.py", "python3-grpcio", "makes and serves gRPC calls"),
    module("websockets/__init__.py", "python3-websockets", "makes and serves WebSockets"),
    tool("etcd", "etcd-server", "holds the reports of a fleet"),
    tool("etcdctl", "etcd-client", "gives roles in etcd"),
    tool("faketime", "faketime", "sets the clock of a host or of an operator"),
];

/// The additional tools of `dist`.
pub(crate) const PACKAGING: [Tool; 2] = [
    tool("dpkg-shlibdeps", "dpkg-dev", "finds the dependencies of the package"),
    tool("debootstrap", "debootstrap", "makes a clean system to install the package in"),
];

/// The checker of packages in `dist --check`.
pub(crate) const LINT: [Tool; 1] =
    [tool("lintian", "lintian", "compares the package with Debian's policy")];

/// The additional tools of `walk`.
pub(crate) const MACHINES: [Tool; 3] = [
    tool("debootstrap", "debootstrap", "makes a clean system to boot"),
    tool("systemd-nspawn", "systemd-container", "boots it"),
    tool("nginx", "nginx", "is the edge before it"),
];

/// The additional tools of `dist --repository`.
pub(crate) const REPOSITORY: [Tool; 6] = [
    tool("apt-ftparchive", "apt-utils", "writes the indexes of the repository"),
    tool("gpg", "gpg", "signs the repository"),
    tool("gpg-agent", "gpg-agent", "holds the key while gpg signs"),
    tool("gpgconf", "gpgconf", "stops the agent of gpg"),
    tool("gpgv", "gpgv", "verifies a signature with the public key alone"),
    tool("xz", "xz-utils", "compresses an index"),
];

/// The additional tools of `dist --check-ansible`.
pub(crate) const ANSIBLE: [Tool; 5] = [
    tool("systemd-nspawn", "systemd-container", "boots a clean system"),
    tool("ssh", "openssh-client", "takes Ansible to the clean systems"),
    tool("python3", "python3", "runs Ansible"),
    tool("/usr/share/doc/python3-venv/copyright", "python3-venv", "keeps Ansible apart"),
    tool("etcd", "etcd-server", "takes the reports of the clean systems"),
];

/// The additional tools of `dist --arm64`.
pub(crate) const ARM64: [Tool; 3] = [
    tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", "builds C code and links for arm64"),
    tool(
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
        "declares the C library for arm64",
    ),
    tool("qemu-aarch64-static", "qemu-user-static", "runs the program for arm64"),
];

/// The additional tools of `kernels --arm64`, which builds the package as `dist --arm64` does.
pub(crate) const ARM64_MACHINE: [Tool; 5] = [
    tool("qemu-system-aarch64", "qemu-system-arm", "emulates a machine"),
    tool("debootstrap", "debootstrap", "fetches the system of the emulated machine"),
    tool("cpio", "cpio", "packs that system"),
    tool("aarch64-linux-gnu-strip", "binutils-aarch64-linux-gnu", "strips the tests"),
    tool("depmod", "kmod", "lists the modules that a module needs"),
];

/// The additional tools of `dist --container`.
pub(crate) const CONTAINERS: [Tool; 3] = [
    tool("dockerd", "docker.io", "runs the image"),
    tool("docker", "docker.io", "builds the image"),
    tool("runc", "runc", "runs the image"),
];

/// The additional tools of `edge`.
pub(crate) const EDGE: [Tool; 3] = [
    tool("cmake", "cmake", "builds a C library that pingora uses"),
    tool("perl", "perl", "configures the OpenSSL that pingora uses"),
    tool("nginx", "nginx", "is the application that reloads"),
];

/// The additional tools of `page`.
pub(crate) const BROWSER: [Tool; 3] = [
    tool("chromium", "chromium", "is the browser that shows the pages"),
    tool(
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "fonts-dejavu-core",
        "is the font of the screenshots",
    ),
    module("websockets/__init__.py", "python3-websockets", "drives the browser"),
];

/// The alternatives in `bench firewall`. Each is measured if it is available.
pub(crate) const PACKET_RIVALS: [Tool; 2] = [
    tool("xdp-filter", "xdp-tools", "is measured with the same frames"),
    tool("ethtool", "ethtool", "switches on GRO, so that a veth is as fast for nft as for XDP"),
];

/// The alternatives in `bench terminator`. Each is measured if it is available.
pub(crate) const TLS_RIVALS: [Tool; 3] = [
    tool("nginx", "libnginx-mod-stream", "is measured as a TLS terminator"),
    tool("haproxy", "haproxy", "is measured as a TLS terminator"),
    tool("hitch", "hitch", "is measured as a TLS terminator"),
];

/// The additional tools of `bench fleet`.
pub(crate) const ETCD: [Tool; 2] = [
    tool("etcd", "etcd-server", "takes the reports of simulated hosts"),
    tool("etcdctl", "etcd-client", "tells the state of etcd"),
];

const fn module(file: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    tool(file, package, purpose)
}

const fn tool(program: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool { program, package, purpose }
}

/// Installs the missing common tools; warns about each if apt does not work.
pub(crate) fn ensure() -> Result<()> {
    install_missing(&TOOLS)
}

/// Installs the missing common tools and the tools of one verb.
pub(crate) fn ensure_for(tools: &[Tool]) -> Result<()> {
    ensure()?;
    install_missing(tools)
}

/// Installs the alternatives of a benchmark; warns about those that are not available.
pub(crate) fn try_rivals(rivals: &[Tool]) {
    for rival in rivals {
        if let Err(error) = install_missing(std::slice::from_ref(rival)) {
            eprintln!("warning: {error:#}");
        }
    }
}

fn install_missing(tools: &[Tool]) -> Result<()> {
    let absent = |tool: &&Tool| {
        let module = Path::new(MODULES).join(tool.program).is_file();
        !module && command::find(tool.program).is_none()
    };
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

/// Whether apt can install packages without a password.
pub(crate) fn apt_works() -> bool {
    command::find("apt-get").is_some() && apt("true").is_ok_and(|mut check| succeeds(&mut check))
}

/// Whether the package lists have all of these.
pub(crate) fn knows(packages: &[&str]) -> bool {
    packages.iter().all(|package| {
        let answer = command::output(Command::new("apt-cache").args(["policy", package]));
        answer.is_ok_and(|policy| has_candidate(&policy))
    })
}

/// Installs packages. If that fails because the package lists are missing or outdated, it fetches
/// the lists and tries again.
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

/// Reads the output of `apt-cache policy`, which is empty for an unknown name.
fn has_candidate(policy: &str) -> bool {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"));
    candidate.is_some_and(|version| version.trim() != "(none)")
}

/// A command that runs `program` with the privilege to install packages, without questions.
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
    fn a_package_without_a_candidate_is_unknown() {
        assert!(has_candidate("curl:\n  Installed: (none)\n  Candidate: 7.88.1-10\n"));
        assert!(!has_candidate("curl:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }
}
