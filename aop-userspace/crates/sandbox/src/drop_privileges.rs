//! Drops all privileges. A sandboxed process does this first, on its only thread, before it reads
//! any input.
//!
//! The order matters, since each step needs a privilege that a later one drops: bounding set,
//! groups, user, capabilities, no_new_privs, no core dumps or debugger, death with the parent,
//! sandbox. Then the result is read back from the kernel.

use std::os::unix::net::UnixStream;

use nix::sys::signal::{SigSet, Signal};
use rustix::{
    io::Errno,
    net::sockopt::socket_peercred,
    process::{
        DumpableBehavior, Gid, Signal as Death, Uid, geteuid, getppid, set_dumpable_behavior,
        set_parent_process_death_signal, setsid,
    },
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_name, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

use crate::{
    NameLookup, PrivilegesLeft, ProcessRole, Sandbox, SandboxError, channel,
    privileges::{Privileges, ProcFiles},
    sandbox,
};

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserIds {
    /// The user id.
    pub user: u32,
    /// The id of its only group.
    pub group: u32,
}

/// Why the process does not start: it would keep a privilege.
#[derive(Debug, thiserror::Error)]
pub enum DropPrivilegesError {
    /// It was started by hand.
    #[error(
        "this command is internal: only `aop run`, `aop prefixes`, `aop cloudflare` and `aop fleet` \
         start it"
    )]
    NoChannel,
    /// It was started as root without `--become`.
    #[error("started as root, without the user to switch to")]
    NoUser,
    /// The user cannot be changed.
    #[error(
        "cannot switch to user {} and group {}: {error}; run aop as root with CAP_SETUID, \
         CAP_SETGID and CAP_SETPCAP, or as an ordinary user with the capabilities that the \
         firewall needs",
        .ids.user, .ids.group
    )]
    User {
        /// The user and group.
        ids: UserIds,
        /// The error of the system.
        error: Errno,
    },
    /// Another step fails.
    #[error("cannot {doing}: {error}")]
    Step {
        /// The step.
        doing: &'static str,
        /// The error of the system.
        error: Errno,
    },
    /// The parent has ended.
    #[error("the process that started this one has ended")]
    Orphan,
    /// The sandbox cannot be entered.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A privilege is left after all steps.
    #[error(transparent)]
    Left(#[from] PrivilegesLeft),
}

/// Drops all privileges and enters the sandbox, to run as `role`. If this process is root, it
/// switches to `ids`. Returns the channel to the parent, from standard input, and the sandbox.
///
/// # Errors
/// A privilege is left. The process must end then.
pub fn drop_privileges(
    role: ProcessRole,
    ids: Option<UserIds>,
    names: NameLookup,
) -> Result<(UnixStream, Sandbox), DropPrivilegesError> {
    let channel = channel::from_stdin().ok_or(DropPrivilegesError::NoChannel)?;
    step("name itself", set_name(role.title()))?;
    // A process with a terminal could type into it (TIOCSTI), and root's shell would execute that.
    step("leave its session", setsid())?;
    let root = geteuid().is_root();
    let bounding = empty_bounding_set()?;
    if root {
        become_user(ids.ok_or(DropPrivilegesError::NoUser)?)?;
    }
    step("drop its ambient capabilities", clear_ambient_capability_set())?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    step("drop its capabilities", set_capabilities(None, sets))?;
    step("set no_new_privs", set_no_new_privs(true))?;
    // Keys are in this memory: no core dump, no debugger of the same user.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    step("hide its memory", hidden)?;
    die_with_parent(&channel)?;
    // In the sandbox /proc cannot be opened.
    let proc_files = ProcFiles::open()?;
    let sandbox = sandbox::enter(names)?;
    Privileges::read(proc_files, sandbox)?.check(root, bounding)?;
    Ok((channel, sandbox))
}

/// Blocks the signals that end a process, so that only the daemon decides when this one ends:
/// Ctrl-C and a service manager signal every process of a group. Must be called before a second
/// thread starts.
///
/// # Errors
/// The system refuses to block them.
pub fn ignore_signals() -> Result<(), DropPrivilegesError> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let blocked = signals.into_iter().collect::<SigSet>().thread_block();
    let blocked = blocked.map_err(|error| Errno::from_raw_os_error(error as i32));
    step("ignore signals", blocked)
}

/// Removes every capability from the bounding set, so that no executed program can gain one. This
/// needs CAP_SETPCAP; without it, no_new_privs has the same effect.
fn empty_bounding_set() -> Result<BoundingSet, DropPrivilegesError> {
    let held = step("read its capabilities", capabilities(None))?;
    if !held.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(BoundingSet::Kept);
    }
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => {
                step("shrink its bounding set", remove_capability_from_bounding_set(capability))?
            }
            Ok(false) => {}
            // The kernel has no capability of this number or a higher one.
            Err(_) => break,
        }
    }
    Ok(BoundingSet::Emptied)
}

/// The state of the bounding set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoundingSet {
    Emptied,
    Kept,
}

fn become_user(ids: UserIds) -> Result<(), DropPrivilegesError> {
    let failed = |error| DropPrivilegesError::User { ids, error };
    let (user, group) = (Uid::from_raw(ids.user), Gid::from_raw(ids.group));
    set_thread_groups(&[]).map_err(failed)?;
    set_thread_res_gid(group, group, group).map_err(failed)?;
    set_thread_res_uid(user, user, user).map_err(failed)
}

/// The kernel clears the death signal at every change of the user, so this step comes later. A
/// parent that died before this step sends no signal, so it is checked for.
fn die_with_parent(channel: &UnixStream) -> Result<(), DropPrivilegesError> {
    let signal = set_parent_process_death_signal(Some(Death::KILL));
    step("die with its parent", signal)?;
    let parent = step("find its parent", socket_peercred(channel))?.pid;
    if getppid() == Some(parent) { Ok(()) } else { Err(DropPrivilegesError::Orphan) }
}

fn step<T>(doing: &'static str, done: Result<T, Errno>) -> Result<T, DropPrivilegesError> {
    done.map_err(|error| DropPrivilegesError::Step { doing, error })
}
