//! What the terminator costs: CPU time of its process and the daemon's for one authenticated connection and
//! for one request on a kept connection, over a real network path, with the firewall enforcing.
//!
//! CPU time and not wall time: it holds on a busy machine. Needs root.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aop_tests::{Config, Daemon, Upstream, World, pki::Identity};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

const CONNECTIONS: u32 = 3_000;
const REQUESTS: u32 = 30_000;
const PATIENCE: Duration = Duration::from_secs(10);

type Pull = StreamOwned<ClientConnection, std::net::TcpStream>;

fn main() -> Result<()> {
    let world = World::new()?;
    let _upstream = Upstream::start(&world)?;
    for upstream in ["tcp://127.0.0.1:8080", "http://127.0.0.1:8080"] {
        let mut config = Config::new(&world);
        config.site().upstream = upstream.into();
        measure(&world, &config)?;
    }
    println!("mean of {CONNECTIONS} connections and of {REQUESTS} requests, one after the other");
    Ok(())
}

fn measure(world: &World, config: &Config) -> Result<()> {
    let daemon = Daemon::start(world, config)?;
    let pids = [daemon.process()?.0, daemon.terminator()?.0];
    let client = Arc::new(client(&world.pki.edge, world)?);
    let origin: SocketAddr = "203.0.113.10:443".parse()?;

    let (connection, request) = world.edge().inside(|| -> Result<(Cost, Cost)> {
        request(&mut pull(&client, origin)?, 1)?;
        let connection = cost(pids, CONNECTIONS, || request(&mut pull(&client, origin)?, 1))?;
        let mut kept = pull(&client, origin)?;
        request(&mut kept, 1)?;
        Ok((connection, cost(pids, REQUESTS, || request(&mut kept, 1024))?))
    })??;

    let upstream = &config.sites[0].upstream;
    println!(
        "{:<50} {:>8} {:>8}",
        format!("TLS 1.3, ECDSA P-256, {upstream}"),
        "CPU µs",
        "wall µs"
    );
    connection.print("connection: handshake, upstream, one byte, close");
    request.print("1 KB request on a kept connection");
    Ok(())
}

/// Mean cost of one of many.
struct Cost {
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn print(&self, name: &str) {
        println!("{name:<50} {:>8.1} {:>8.1}", micros(self.cpu), micros(self.wall));
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn cost(pids: [u32; 2], times: u32, mut act: impl FnMut() -> Result<()>) -> Result<Cost> {
    let (cpu, wall) = (cpu_time(pids)?, Instant::now());
    for _ in 0..times {
        act()?;
    }
    Ok(Cost { cpu: (cpu_time(pids)? - cpu) / times, wall: wall.elapsed() / times })
}

/// Time on a CPU of all the threads of some processes, from the scheduler's own count.
fn cpu_time(pids: [u32; 2]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanos = text.split(' ').next().context("schedstat has a first field")?;
            total += Duration::from_nanos(nanos.parse()?);
        }
    }
    Ok(total)
}

fn client(identity: &Identity, world: &World) -> Result<ClientConfig> {
    let mut anchors = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(&world.pki.server_ca)? {
        anchors.add(anchor?)?;
    }
    let chain = CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    Ok(ClientConfig::builder().with_root_certificates(anchors).with_client_auth_cert(chain, key)?)
}

fn pull(client: &Arc<ClientConfig>, origin: SocketAddr) -> Result<Pull> {
    let stream = std::net::TcpStream::connect_timeout(&origin, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let session = ClientConnection::new(Arc::clone(client), "example.com".try_into()?)?;
    Ok(StreamOwned::new(session, stream))
}

/// Gets `length` bytes; the connection is kept.
fn request(pull: &mut Pull, length: usize) -> Result<()> {
    write!(pull, "GET /bytes/{length} HTTP/1.1\r\nHost: example.com\r\n\r\n")?;
    let mut answer = Vec::with_capacity(4096);
    let mut buffer = [0; 4096];
    loop {
        let read = pull.read(&mut buffer)?;
        ensure!(read > 0, "the origin closed in mid-answer");
        answer.extend_from_slice(&buffer[..read]);
        if let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n")
            && answer.len() >= head + 4 + length
        {
            ensure!(answer.starts_with(b"HTTP/1.1 200"), "not served");
            return Ok(());
        }
    }
}
