//! seccomp: the system calls that a sandboxed process may make.
//!
//! There are three filters, and the strictest result counts. A call that neither our code nor a
//! library ever makes kills the process: an attacker has taken it over. Of the other calls, a list
//! is allowed and the rest fails with EPERM, so that a library which tries a new call can do
//! without it. `clone3` fails with ENOSYS: its flags are in memory, which no filter can read, and
//! libc then uses `clone`.
//!
//! Calls that are decided without their arguments cost almost nothing: the kernel caches the
//! result.

mod allowed;

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter,
};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The filter cannot be compiled.
    #[error(transparent)]
    Compile(#[from] BackendError),
    /// The kernel does not accept the filter.
    #[error(transparent)]
    Install(#[from] seccompiler::Error),
}

/// Calls that only an attacker makes: to execute another program, to debug another process, to
/// change namespaces and mounts, and those through which kernels were attacked most often.
const KILL: [c_long; 30] = [
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

/// The rules of calls. A call without rules matches whatever its arguments are.
type CallRules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Installs the filters on the calling thread.
pub(crate) fn restrict() -> Result<(), SeccompError> {
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let any = |calls: &[c_long]| calls.iter().map(|call| (*call, Vec::new())).collect();
    let kill = filter(any(&KILL), SeccompAction::KillProcess, SeccompAction::Allow)?;
    let absent = filter(any(&[libc::SYS_clone3]), errno(libc::ENOSYS), SeccompAction::Allow)?;
    let allowed = filter(allowed::rules()?, SeccompAction::Allow, errno(libc::EPERM))?;
    // The last one must come last: it forbids seccomp(2) itself.
    for program in [kill, absent, allowed] {
        apply_filter(&program)?;
    }
    Ok(())
}

fn filter(
    rules: CallRules,
    named: SeccompAction,
    others: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, others, named, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// An argument, by position. Only its lower 32 bits are compared, which is all that the kernel
/// reads of these arguments.
#[derive(Clone, Copy)]
struct Argument(u8);

impl Argument {
    fn is(self, value: i64) -> Result<SeccompRule, BackendError> {
        self.rule(SeccompCmpOp::Eq, value)
    }

    /// None of `bits` is set.
    fn lacks(self, bits: i64) -> Result<SeccompRule, BackendError> {
        self.rule(SeccompCmpOp::MaskedEq(low_32_bits(bits)), 0)
    }

    /// All of `bits` are set.
    fn has(self, bits: i64) -> Result<SeccompRule, BackendError> {
        self.rule(SeccompCmpOp::MaskedEq(low_32_bits(bits)), bits)
    }

    fn one_of(self, values: &[i64]) -> Result<Vec<SeccompRule>, BackendError> {
        values.iter().map(|value| self.is(*value)).collect()
    }

    /// It is `value`, and another argument is `theirs`.
    fn is_with(
        self,
        value: i64,
        (other, theirs): (Self, i64),
    ) -> Result<SeccompRule, BackendError> {
        let equal = |argument: Self, value| argument.condition(SeccompCmpOp::Eq, value);
        SeccompRule::new(vec![equal(self, value)?, equal(other, theirs)?])
    }

    fn rule(self, operator: SeccompCmpOp, value: i64) -> Result<SeccompRule, BackendError> {
        SeccompRule::new(vec![self.condition(operator, value)?])
    }

    fn condition(
        self,
        operator: SeccompCmpOp,
        value: i64,
    ) -> Result<SeccompCondition, BackendError> {
        SeccompCondition::new(self.0, SeccompCmpArgLen::Dword, operator, low_32_bits(value))
    }
}

/// The lower 32 bits.
fn low_32_bits(value: i64) -> u64 {
    value.cast_unsigned() & u64::from(u32::MAX)
}
