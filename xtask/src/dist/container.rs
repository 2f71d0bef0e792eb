//! Builds the image from the package and tests it with a port that Docker publishes around the
//! host's filter: a stranger and an address of the CDN connect to that port from outside.

mod engine;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use engine::{Engine, From};

use crate::{packages, privilege::Privilege, workspace};

const PATIENCE: Duration = Duration::from_secs(20);

/// The port that a container publishes and aop guards.
const PORT: u16 = 8443;

/// Answers every request on port 80. In Perl, which the base image has.
const APPLICATION: &str = r#"my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1) or die $!;
while (my $c = $s->accept) { sysread $c, my $q, 4096; print $c "HTTP/1.0 200 OK\r\n\r\nhello\n"; close $c }"#;

const CONFIGURATION: &str = "[firewall]\nmode = \"enforce\"\nports = [8443]\n\n\
     [prefixes]\nsource = [\"173.245.48.0/20\"]\n";

pub(super) fn run(folder: &Path) -> Result<()> {
    ensure!(Privilege::current()?.is_root(), "the container engine needs root: run this as root");
    packages::ensure_for(&packages::CONTAINERS)?;
    let engine = Engine::start()?;
    println!("engine: Docker {}", engine.version()?);
    let begun = Instant::now();
    engine.import_base()?;
    let dockerfile = workspace::root().join("packaging/container/Dockerfile");
    engine.ask(&[
        "build",
        "--file",
        &dockerfile.to_string_lossy(),
        "--tag",
        "aop",
        &folder.to_string_lossy(),
    ])?;
    println!("image: built from the package in {:.0} s", begun.elapsed().as_secs_f32());

    let published = format!("{PORT}:80");
    let perl = ["--publish", &published, engine::BASE, "perl", "-MIO::Socket::INET", "-e"];
    engine.start_container("application", &[], &[&perl[..], &[APPLICATION]].concat())?;
    until("the published port answers", || Ok(engine.reaches(From::Stranger, PORT)))?;
    println!("port {PORT}, published: a stranger reaches it");

    let etc = engine.folder().join("etc");
    fs::create_dir_all(&etc)?;
    fs::write(etc.join("aop.toml"), CONFIGURATION)?;
    let etc = format!("{}:/etc/aop:ro", etc.display());
    let pins = format!("{}:/sys/fs/bpf", engine.bpffs().display());
    let mounts = ["--network=host", "--volume", &pins, "--volume", &etc];
    engine.start_container("aop", &[&["--cap-add=ALL"], &mounts[..]].concat(), &["aop"])?;
    until("aop enforces", || Ok(status(&engine).is_ok_and(|status| status.contains("enforcing"))))
        .with_context(|| engine.ask(&["logs", "aop"]).unwrap_or_default())?;
    guarded(&engine)?;
    println!("port {PORT}, guarded by a container: silence for a stranger, an answer for the CDN");

    engine.ask(&["kill", "aop"])?;
    guarded(&engine)?;
    println!("port {PORT}, that container killed: the same");

    let line = ["run", "--rm", "--cap-add=ALL", engine::LACKS, "--network=host", "--volume", &pins];
    engine.ask(&[&line[..], &["--volume", &etc, "aop", "unload"]].concat())?;
    ensure!(engine.reaches(From::Stranger, PORT), "a stranger gets no answer after `aop unload`");
    println!("port {PORT}, unloaded by a container: a stranger reaches it again");
    Ok(())
}

fn guarded(engine: &Engine) -> Result<()> {
    ensure!(engine.reaches(From::Cdn, PORT), "the CDN's address is not served");
    ensure!(!engine.reaches(From::Stranger, PORT), "a stranger is served");
    ensure!(engine.reaches(From::Cdn, PORT), "the CDN's address is no longer served");
    Ok(())
}

fn status(engine: &Engine) -> Result<String> {
    engine.ask(&["exec", "aop", "aop", "status"])
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds()? {
        ensure!(begun.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
