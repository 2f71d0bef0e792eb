//! Threads and processes that enter the sandbox and try to escape from it.

use std::{
    env,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    os::unix::{
        fs::chroot,
        net::{UnixListener, UnixStream},
        process::ExitStatusExt,
    },
    process::Command,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{ptrace, signal::Signal},
    unistd::execv,
};
use rustix::{
    fs::{SealFlags, fcntl_add_seals},
    net::{AddressFamily, SocketType, socket, sockopt},
    process::{Pid, Resource, getppid, prlimit, setrlimit, test_kill_process},
};

use super::{Sandbox, enter};
use crate::NameLookup;

/// Runs `attempt` in the sandbox, in a thread of its own.
fn sandboxed<T: Send + 'static>(
    names: NameLookup,
    attempt: impl FnOnce(Sandbox) -> T + Send + 'static,
) -> T {
    thread::spawn(move || attempt(enter(names).expect("a sandbox"))).join().expect("no panic")
}

fn refusal<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

const DENIED: Option<ErrorKind> = Some(ErrorKind::PermissionDenied);

#[test]
fn everything_that_serving_needs_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let unix = UnixListener::bind(&path).expect("bound");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = tcp.local_addr().expect("an address");
    // Compared with the results outside: a minimal system may have neither the name nor the file.
    let look_up = || {
        let found = "localhost:80".to_socket_addrs().map(Iterator::count).ok();
        (found, fs::read_to_string("/etc/hosts").ok())
    };
    let outside = look_up();
    let name = if outside.0.is_some() { "localhost" } else { "127.0.0.1" };
    sandboxed(NameLookup::AtStart, move |_| {
        let mut upstream = UnixStream::connect(&path).expect("a Unix upstream");
        upstream.write_all(b"?").expect("written");
        let (mut taken, _) = unix.accept().expect("accepted");
        taken.read_exact(&mut [0]).expect("read");
        TcpStream::connect(address).expect("a TCP upstream");
        tcp.accept().expect("accepted");
        assert_eq!(look_up(), outside);
        aws_lc_rs::rand::fill(&mut [0; 32]).expect("random bytes");
        let limit = rustix::process::getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, limit).expect("a limit of its own");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let connected = tokio::net::TcpStream::connect((name, address.port()));
            connected.await.expect("connected by name");
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::task::spawn_blocking(thread::yield_now).await.expect("a thread");
        });
    });
}

#[test]
fn files_cannot_be_opened_or_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = folder.path().join("mine");
    fs::write(&mine, "").expect("written");
    sandboxed(NameLookup::AtStart, move |sandbox| {
        assert!(sandbox.landlock.is_some(), "this kernel has no Landlock: use one that has");
        for file in ["/etc/passwd", "/proc/self/status", "/proc/self/mem", "/dev/null", "/"] {
            assert_eq!(refusal(File::open(file)), DENIED, "{file}");
        }
        assert_eq!(refusal(File::open(&mine)), DENIED, "a file of its own");
        assert_eq!(refusal(File::create(&mine)), DENIED);
        assert_eq!(refusal(File::options().write(true).open("/dev/null")), DENIED);
        assert_eq!(refusal(fs::write(mine.with_extension("new"), "")), DENIED);
        assert_eq!(refusal(fs::remove_file(&mine)), DENIED);
        assert_eq!(refusal(fs::rename(&mine, mine.with_extension("moved"))), DENIED);
        assert_eq!(refusal(fs::create_dir(mine.with_extension("d"))), DENIED);
    });
}

#[test]
fn a_process_that_looks_up_names_for_ever_can_read_all_of_etc() {
    sandboxed(NameLookup::Always, |_| {
        fs::read_to_string("/etc/passwd").expect("a file without a rule of its own");
        assert_eq!(refusal(File::open("/proc/self/status")), DENIED);
    });
}

#[test]
fn no_process_can_be_started_or_signalled() {
    sandboxed(NameLookup::AtStart, |_| {
        assert_eq!(refusal(Command::new("/bin/true").spawn()), DENIED);
        let parent = getppid().unwrap_or(Pid::INIT);
        assert_eq!(test_kill_process(parent), Err(rustix::io::Errno::PERM));
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!(
            prlimit(Some(parent), Resource::Core, limit).err(),
            Some(rustix::io::Errno::PERM)
        );
    });
}

#[test]
fn no_socket_can_listen_and_only_sockets_for_connections_can_be_made() {
    sandboxed(NameLookup::AtStart, |_| {
        assert_eq!(refusal(TcpListener::bind("127.0.0.1:0")), DENIED);
        assert_eq!(refusal(UdpSocket::bind("127.0.0.1:0")), DENIED);
        for family in [AddressFamily::PACKET, AddressFamily::NETLINK] {
            let made = socket(family, SocketType::RAW, None);
            assert_eq!(made.err(), Some(rustix::io::Errno::PERM), "{family:?}");
        }
    });
}

#[test]
fn descriptors_can_be_given_neither_an_owner_nor_options_that_outlive_the_process() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
    let prohibited = Err(rustix::io::Errno::PERM);
    sandboxed(NameLookup::AtStart, move |_| {
        assert_eq!(sockopt::set_tcp_nodelay(&tcp, true), Ok(()));
        assert_eq!(sockopt::set_socket_keepalive(&tcp, true), Ok(()));
        let second = Some(Duration::from_secs(1));
        for timeout in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            assert_eq!(sockopt::set_socket_timeout(&tcp, timeout, second), Ok(()));
        }
        assert_eq!(sockopt::set_socket_linger(&tcp, second), Ok(()));
        assert_eq!(sockopt::set_socket_broadcast(&tcp, true), prohibited);
        assert_eq!(sockopt::set_ip_ttl(&tcp, 1), prohibited);
        tcp.set_nonblocking(true).expect("allowed");
        tcp.try_clone().expect("allowed");
        // Without the filter this fails for another reason: a socket has no seals.
        assert_eq!(fcntl_add_seals(&tcp, SealFlags::WRITE), prohibited);
    });
}

/// The name of the attempt, for a child process of the test.
const TRIED: &str = "AOP_TEST_ATTEMPT";

#[test]
fn a_call_that_only_an_attacker_makes_kills_the_process() {
    if let Ok(attempt) = env::var(TRIED) {
        return sandboxed(NameLookup::AtStart, move |_| attack(&attempt));
    }
    for attempt in ["execve", "ptrace", "unshare", "chroot"] {
        let mut child = Command::new(env::current_exe().expect("this test"));
        let module = module_path!().split_once("::").expect("a module").1;
        child.args([
            "--exact",
            &format!("{module}::a_call_that_only_an_attacker_makes_kills_the_process"),
        ]);
        let ended = child.env(TRIED, attempt).output().expect("started");
        let output = String::from_utf8_lossy(&ended.stdout);
        let signal = ended.status.signal();
        assert_eq!(signal, Some(Signal::SIGSYS as i32), "{attempt}: {:?} {output}", ended.status);
    }
}

fn attack(attempt: &str) {
    let answer: Result<(), Errno> = match attempt {
        "execve" => execv(c"/bin/true", &[c"true"]).map(|never| match never {}),
        "ptrace" => ptrace::traceme(),
        "unshare" => unshare(CloneFlags::CLONE_NEWUSER),
        "chroot" => chroot("/").map_err(|_| Errno::EPERM),
        other => panic!("no attempt is called {other}"),
    };
    panic!("{attempt} was answered: {answer:?}");
}
