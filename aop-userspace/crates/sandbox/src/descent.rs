//! Giving up everything: what a process without privilege does first, on its only thread, before it
//! reads a byte from anybody.
//!
//! In this order, since each step needs what a later one takes: bounding set, groups, user,
//! capabilities, no new privileges, no reading of memory, death with the parent, a fence around files
//! and system calls. Then the kernel is asked whether all that holds.

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

use super::{
    Verb,
    fence::{self, Fence, FenceError, Names},
    proof::{Proof, ProofError, Witness},
};
use crate::channel;

/// A user and a group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub user: u32,
    pub group: u32,
}

/// Why the process does not go on: it would keep what it must not have.
#[derive(Debug, thiserror::Error)]
pub enum ConfinementError {
    /// Started by hand.
    #[error("this is a part of aop that `aop run` and `aop prefixes` start by themselves")]
    NoChannel,
    /// Root stays root without it.
    #[error("started as root, and no user was named to become")]
    NoUser,
    /// The user cannot be changed.
    #[error(
        "cannot become user {} and group {}: {error}; run aop as root with CAP_SETUID, CAP_SETGID \
         and CAP_SETPCAP, or as an ordinary user with the capabilities that the firewall needs",
        .ids.user, .ids.group
    )]
    User { ids: Ids, error: Errno },
    /// Something else is refused.
    #[error("cannot {doing}: {error}")]
    Refused { doing: &'static str, error: Errno },
    /// Whoever started it is gone.
    #[error("the process that started this one is gone")]
    Orphan,
    /// The kernel does not fence it in.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// Everything was done, and does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Gives up everything, to do `verb`; `ids` is who to become where this is root. Returns the channel to the
/// process that started this one, from standard input, and how closely this one is fenced in.
pub fn descend(
    verb: Verb,
    ids: Option<Ids>,
    names: Names,
) -> Result<(UnixStream, Fence), ConfinementError> {
    let channel = channel::from_stdin().ok_or(ConfinementError::NoChannel)?;
    refused("name itself", set_name(verb.title()))?;
    // Without a terminal: who has one may type into it (TIOCSTI), and root's shell would listen.
    refused("leave its session", setsid())?;
    let root = geteuid().is_root();
    let bounding = empty_bounding_set()?;
    if root {
        become_user(ids.ok_or(ConfinementError::NoUser)?)?;
    }
    refused("drop its capabilities", clear_ambient_capability_set())?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    refused("drop its capabilities", set_capabilities(None, sets))?;
    refused("forbid itself new privileges", set_no_new_privs(true))?;
    // Keys lie in this memory: no core file, no debugger of the same user.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    refused("hide its memory", hidden)?;
    die_with_parent(&channel)?;
    // Behind the fence there is no /proc to open.
    let witness = Witness::call()?;
    let fence = fence::raise(names)?;
    Proof::read(witness, fence)?.check(root, bounding)?;
    Ok((channel, fence))
}

/// From now on the daemon alone says when to end: Ctrl-C and a service manager reach every process
/// of a group. To be called before there is a second thread.
pub fn ignore_signals() -> Result<(), ConfinementError> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let blocked = signals.into_iter().collect::<SigSet>().thread_block();
    let blocked = blocked.map_err(|error| Errno::from_raw_os_error(error as i32));
    refused("ignore signals", blocked)
}

/// What no program that this one executes may have. Only who holds CAP_SETPCAP may shrink it; for
/// others the ban on new privileges does the same.
fn empty_bounding_set() -> Result<Bounding, ConfinementError> {
    let held = refused("read its capabilities", capabilities(None))?;
    if !held.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(Bounding::Kept);
    }
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => {
                refused("shrink its bounding set", remove_capability_from_bounding_set(capability))?
            }
            Ok(false) => {}
            // The kernel knows no capability of that number, nor any higher one.
            Err(_) => break,
        }
    }
    Ok(Bounding::Emptied)
}

/// What became of the bounding set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounding {
    Emptied,
    Kept,
}

fn become_user(ids: Ids) -> Result<(), ConfinementError> {
    let failed = |error| ConfinementError::User { ids, error };
    let (user, group) = (Uid::from_raw(ids.user), Gid::from_raw(ids.group));
    set_thread_groups(&[]).map_err(failed)?;
    set_thread_res_gid(group, group, group).map_err(failed)?;
    set_thread_res_uid(user, user, user).map_err(failed)
}

/// The kernel forgets the signal with every change of the user, so this comes after it. A parent
/// that died before is not told any more.
fn die_with_parent(channel: &UnixStream) -> Result<(), ConfinementError> {
    let signal = set_parent_process_death_signal(Some(Death::KILL));
    refused("die with its parent", signal)?;
    let parent = refused("learn who started it", socket_peercred(channel))?.pid;
    if getppid() == Some(parent) { Ok(()) } else { Err(ConfinementError::Orphan) }
}

fn refused<T>(doing: &'static str, done: Result<T, Errno>) -> Result<T, ConfinementError> {
    done.map_err(|error| ConfinementError::Refused { doing, error })
}
