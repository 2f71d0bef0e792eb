//! The errors of the firewall. Each message says what the operator can do.

use std::{error::Error, io, path::PathBuf};

use aop_common::layout::{LAYOUT_VERSION, SLOTS};
use rustix::io::Errno;

/// Why the firewall cannot do something. Each message names the object and the remedy.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum FirewallError {
    #[error(
        "this aop was built without its packet program; build it with `cargo xtask build-ebpf` \
         and build aop again, or set firewall.mode = \"off\""
    )]
    NoObject,
    #[error(
        "the kernel cannot list the interfaces: {0}; aop needs AF_NETLINK, which \
         RestrictAddressFamilies= in a unit may forbid"
    )]
    Netlink(io::Error),
    #[error(
        "no interface can be guarded: \"auto\" guards the Ethernet interfaces that are up{}; name \
         interfaces in firewall.interfaces", without_header(.unguardable)
    )]
    NothingToGuard { unguardable: Vec<String> },
    #[error(
        "interface {name:?} does not exist; correct firewall.interfaces. This host has {}",
        .known.join(", ")
    )]
    UnknownInterface { name: String, known: Vec<String> },
    #[error(
        "interface {name:?} carries no Ethernet frames, and the packet program reads nothing else; \
         guard the Ethernet interface below it"
    )]
    NotEthernet { name: String },
    #[error(
        "interface {interface:?} already has another XDP program, {program}; aop leaves it alone. \
         Stop its owner (`bpftool net` and `bpftool link` show it), or guard another interface"
    )]
    ForeignProgram { interface: String, program: String },
    #[error(
        "interface {interface:?} is below one that has an XDP program, such as a bond, and then the \
         kernel allows none here: guard the upper interface in its place (firewall.interfaces), or \
         stop the owner of that program"
    )]
    UpperHasProgram { interface: String },
    #[error(
        "interface {interface:?} does not support the {mode} XDP mode: {reason}. {}",
        advice(mode, cure.as_deref())
    )]
    ModeRefused { interface: String, mode: &'static str, reason: String, cure: Option<String> },
    #[error("no firewall is loaded: {} holds no pins. `aop run` loads one", .0.display())]
    NotLoaded(PathBuf),
    #[error(
        "interface {name:?} is not guarded; the guarded interfaces are {}",
        .guarded.join(", ")
    )]
    NotGuarded { name: String, guarded: Vec<String> },
    #[error("no interface is guarded: the maps are pinned, but no link is. Restart aop")]
    NoLink,
    #[error(
        "interface {name:?} should be guarded, but the program is not attached to it: its packets \
         pass unfiltered. Restart aop"
    )]
    NotAttached { name: String },
    #[error(
        "interface {name:?} has the packet program of another build, so this aop cannot predict \
         its verdicts. Use that build, or restart aop with this one"
    )]
    OtherProgram { name: String },
    #[error(
        "more than {SLOTS} interfaces have been guarded, and no counter slot is free: run `aop \
         unload`, then restart aop"
    )]
    NoSlot,
    #[error(
        "{} is not on a bpffs, which pins need; \
         run `mount -t bpf bpf /sys/fs/bpf`, or correct paths.pins", .0.display()
    )]
    NotBpffs(PathBuf),
    #[error(
        "{} holds pins of layout {found}, made by a newer aop; this one knows layouts up to \
         {LAYOUT_VERSION}. Install the newer one again, or remove the pins with `aop unload` \
         (packets pass unfiltered until the next start)",
        .path.display()
    )]
    NewerLayout { path: PathBuf, found: u32 },
    #[error(
        "{} is left of an `aop unload` that was interrupted: run `aop unload` again, then restart \
         aop", .path.display()
    )]
    UnloadInterrupted { path: PathBuf },
    #[error(
        "{} holds pins of layout {found}, made by an older aop; this one uses layout \
         {LAYOUT_VERSION}. To take them over: `aop upgrade`, or `systemctl restart aop`",
        .path.display()
    )]
    OlderLayout { path: PathBuf, found: u32 },
    #[error(
        "{}: the pinned map has {found}, not {expected}, and is not used. \
         `aop unload` removes it (packets pass unfiltered until the next start)", .path.display()
    )]
    MapLayout { path: PathBuf, found: String, expected: String },
    #[error(
        "another aop uses the pins in {}; stop it, or give this one its own paths.pins and \
         paths.runtime", .0.display()
    )]
    PinsTaken(PathBuf),
    #[error(
        "{} is not a pin of aop, so nothing there was removed. Correct paths.pins",
        .0.display()
    )]
    ForeignPin(PathBuf),
    #[error(
        "no firewall is loaded: it was unloaded (`aop unload`). To guard again: `aop upgrade`, or \
         `systemctl restart aop`"
    )]
    Unloaded,
    #[error("{}: {error}", .path.display())]
    Pin { path: PathBuf, error: io::Error },
    #[error(
        "no privilege to {doing}; run this as root (`sudo`), or with CAP_BPF, CAP_NET_ADMIN and \
         CAP_PERFMON"
    )]
    Privilege { doing: String },
    #[error(
        "no privilege for the firewall: this process lacks {}; run aop as root, or give it \
         CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or set firewall.mode = \"off\"",
        .missing.join(", ")
    )]
    Capabilities { missing: Vec<&'static str> },
    #[error("the kernel refuses to {doing}: {detail}")]
    Kernel { doing: String, detail: String },
}

fn advice(mode: &str, cure: Option<&str>) -> String {
    match (mode, cure) {
        ("generic", _) => "Guard another interface (firewall.interfaces)".to_owned(),
        (_, Some(command)) => format!("Run {command}, or set firewall.attach = \"auto\""),
        (_, None) => "Set firewall.attach = \"auto\"".to_owned(),
    }
}

fn without_header(unguardable: &[String]) -> String {
    match unguardable.is_empty() {
        true => String::new(),
        false => format!(", and {} has no Ethernet header", unguardable.join(", ")),
    }
}

impl FirewallError {
    /// The error of `doing`, from aya's.
    pub(super) fn kernel(doing: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let doing = doing.into();
        match errno(error) {
            Some(Errno::PERM | Errno::ACCESS) if !verifier_spoke(error) => {
                Self::Privilege { doing }
            }
            Some(_) | None => Self::Kernel { doing, detail: end_of(&chain(error)) },
        }
    }

    pub(super) fn pin(path: impl Into<PathBuf>, error: io::Error) -> Self {
        let path = path.into();
        if error.kind() == io::ErrorKind::PermissionDenied {
            Self::Privilege { doing: format!("use {}", path.display()) }
        } else {
            Self::Pin { path, error }
        }
    }
}

/// The system's error number in the chain of `error`.
pub(super) fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && let Some(code) = io.raw_os_error()
        {
            return Some(Errno::from_raw_os_error(code));
        }
        cause = error.source();
    }
    None
}

/// The kernel returns EACCES for a program that the verifier rejects, too.
fn verifier_spoke(error: &(dyn Error + 'static)) -> bool {
    chain(error).contains("processed ")
}

/// The end of a long text such as the verifier's, which ends with its complaint.
fn end_of(text: &str) -> String {
    const KEPT: usize = 600;
    match text.char_indices().rev().nth(KEPT) {
        None => text.to_owned(),
        Some((start, _)) => format!("…{}", text.get(start..).unwrap_or_default()),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
