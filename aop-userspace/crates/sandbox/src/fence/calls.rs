//! seccomp: which system calls can be made.
//!
//! Three filters, of which the strictest word counts. What no code of ours and no library ever calls
//! ends the process: who calls it has taken it over. Of the rest, a list is allowed, and all others
//! are answered with EPERM, so that a library which tries something new goes on without. `clone3` is
//! answered with ENOSYS: its flags lie in memory that no filter can read, and libc then takes `clone`.
//!
//! Calls whose arguments are not looked at cost next to nothing: the kernel remembers the answer.

mod allowed;

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter,
};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum CallsError {
    /// It cannot be made.
    #[error(transparent)]
    Made(#[from] BackendError),
    /// The kernel does not take it.
    #[error(transparent)]
    Taken(#[from] seccompiler::Error),
}

/// What nobody calls who means well: to become another program or another's debugger, to change
/// what it sees of the system, and the calls through which kernels were attacked most.
const DEADLY: [c_long; 30] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_open_by_handle_at,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
];

/// The rules of calls; one without rules is meant whatever its arguments are.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Fences the calling thread in.
pub(super) fn fence() -> Result<(), CallsError> {
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let plain = |calls: &[c_long]| calls.iter().map(|call| (*call, Vec::new())).collect();
    let deadly = filter(plain(&DEADLY), SeccompAction::KillProcess, SeccompAction::Allow)?;
    let absent = filter(plain(&[libc::SYS_clone3]), errno(libc::ENOSYS), SeccompAction::Allow)?;
    let allowed = filter(allowed::rules()?, SeccompAction::Allow, errno(libc::EPERM))?;
    // The last one forbids to add any more.
    for program in [deadly, absent, allowed] {
        apply_filter(&program)?;
    }
    Ok(())
}

fn filter(
    rules: Rules,
    named: SeccompAction,
    others: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, others, named, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// An argument, of which the lower 32 bits are compared: the kernel reads no more of these.
#[derive(Clone, Copy)]
struct Argument(u8);

impl Argument {
    fn is(self, value: i64) -> Result<SeccompRule, BackendError> {
        self.rule(SeccompCmpOp::Eq, value)
    }

    /// Whether none of `bits` is set.
    fn lacks(self, bits: i64) -> Result<SeccompRule, BackendError> {
        self.rule(SeccompCmpOp::MaskedEq(word(bits)), 0)
    }

    /// Whether all of `bits` are set.
    fn has(self, bits: i64) -> Result<SeccompRule, BackendError> {
        self.rule(SeccompCmpOp::MaskedEq(word(bits)), bits)
    }

    fn one_of(self, values: &[i64]) -> Result<Vec<SeccompRule>, BackendError> {
        values.iter().map(|value| self.is(*value)).collect()
    }

    fn rule(self, operator: SeccompCmpOp, value: i64) -> Result<SeccompRule, BackendError> {
        let condition =
            SeccompCondition::new(self.0, SeccompCmpArgLen::Dword, operator, word(value))?;
        SeccompRule::new(vec![condition])
    }
}

/// The lower 32 bits.
fn word(value: i64) -> u64 {
    value.cast_unsigned() & u64::from(u32::MAX)
}
