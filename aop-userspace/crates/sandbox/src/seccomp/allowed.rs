//! The system calls that serving and fetching need: those of this program, tokio, aws-lc and the
//! libc of Debian 12 and 13.

use nix::libc::{self, c_long};
use seccompiler::BackendError;

use super::{Argument, CallRules};

/// Calls that are allowed with any arguments.
const ANY_ARGUMENTS: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads and time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // Another filter makes it fail with ENOSYS.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_membarrier,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // Signals; the process can send them only to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    // Facts about the process and the system.
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    // Descriptors and files; Landlock decides which files.
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_statx,
    libc::SYS_write,
    libc::SYS_writev,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    // Connections. No socket is bound here: listening sockets are handed over.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
];

/// Older variants of these calls, which exist only on this architecture.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_getrlimit,
    libc::SYS_lstat,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[c_long] = &[];

/// Commands of bpf(2): to read and write the maps that were handed over. Freezing a map is left
/// out, since no process could update it again; loading a program is left out too.
const MAP_LOOKUP_ELEM: i64 = 1;
const MAP_UPDATE_ELEM: i64 = 2;
const MAP_DELETE_ELEM: i64 = 3;
const MAP_GET_NEXT_KEY: i64 = 4;
const OBJ_GET_INFO_BY_FD: i64 = 15;

/// Commands of fcntl(2). F_SETOWN is left out: it makes the kernel send signals to any process.
const DESCRIPTOR_COMMANDS: [i32; 6] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
];

/// Options of sockets: level and name. Filters, devices and the like are left out: they would stay
/// on a listening socket, which the next process gets.
const SOCKET_OPTIONS: [(i32, i32); 18] = [
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO_NEW),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO_NEW),
    (libc::SOL_TCP, libc::TCP_KEEPCNT),
    (libc::SOL_TCP, libc::TCP_KEEPIDLE),
    (libc::SOL_TCP, libc::TCP_KEEPINTVL),
    (libc::SOL_TCP, libc::TCP_NODELAY),
    (libc::SOL_TCP, libc::TCP_QUICKACK),
    (libc::SOL_TCP, libc::TCP_USER_TIMEOUT),
    // Those of the libc's resolver.
    (libc::SOL_IP, libc::IP_RECVERR),
    (libc::SOL_IPV6, libc::IPV6_RECVERR),
    (libc::SOL_IPV6, libc::IPV6_V6ONLY),
];

/// The pid that means the calling process, in prlimit64(2).
const ITSELF: i64 = 0;

/// The rules of all allowed calls.
pub(super) fn rules() -> Result<CallRules, BackendError> {
    let (first, second, third) = (Argument(0), Argument(1), Argument(2));
    let own_pid = i64::from(std::process::id());
    let bpf =
        [MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY, OBJ_GET_INFO_BY_FD];
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX].map(i64::from);
    // Neither TIOCSTI nor any request to a driver.
    let controls = [libc::FIONBIO, libc::FIONREAD, libc::TCGETS].map(u64::cast_signed);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA].map(i64::from);
    let (writable, executable) = (i64::from(libc::PROT_WRITE), i64::from(libc::PROT_EXEC));
    let option =
        |(level, name): &(i32, i32)| second.is_with(i64::from(*level), (third, i64::from(*name)));
    let options: Result<Vec<_>, BackendError> = SOCKET_OPTIONS.iter().map(option).collect();
    let writing = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_PATH;
    let mut rules = CallRules::from([
        // Memory that was writable can never become executable.
        (libc::SYS_mmap, vec![third.lacks(writable)?, third.lacks(executable)?]),
        (libc::SYS_mprotect, vec![third.lacks(executable)?]),
        // Threads only, no processes.
        (libc::SYS_clone, vec![first.has(i64::from(libc::CLONE_THREAD))?]),
        (libc::SYS_tgkill, vec![first.is(own_pid)?]),
        (libc::SYS_prlimit64, first.one_of(&[ITSELF, own_pid])?),
        (libc::SYS_prctl, first.one_of(&names)?),
        (libc::SYS_openat, vec![third.lacks(i64::from(writing))?]),
        (libc::SYS_ioctl, second.one_of(&controls)?),
        (libc::SYS_socket, first.one_of(&families)?),
        (libc::SYS_socketpair, vec![first.is(i64::from(libc::AF_UNIX))?]),
        (libc::SYS_bpf, first.one_of(&bpf)?),
        (libc::SYS_fcntl, second.one_of(&DESCRIPTOR_COMMANDS.map(i64::from))?),
        (libc::SYS_setsockopt, options?),
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, vec![second.lacks(i64::from(writing))?]);
    rules.extend(ANY_ARGUMENTS.iter().chain(LEGACY).map(|call| (*call, Vec::new())));
    Ok(rules)
}
