//! The configuration of nginx: from `nginx -T`, or from a file.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::Command,
};

use anyhow::{Context, bail};
use aop_import::nginx::MOST_BYTES;

/// Where nginx is: in PATH, or where Debian, a build from source, BSD's habits and OpenResty put
/// it. The PATH of a user has no sbin.
const PROGRAMS: [&str; 5] = [
    "nginx",
    "/usr/sbin/nginx",
    "/usr/local/sbin/nginx",
    "/usr/local/nginx/sbin/nginx",
    "/usr/local/openresty/nginx/sbin/nginx",
];

/// The text to read.
pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    /// Its name in messages.
    pub(super) name: String,
}

/// Reads `file`, or else the output of `nginx -T`.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Source> {
    let Some(file) = file else {
        return Ok(Source { bytes: dump()?, name: "nginx -T".to_owned() });
    };
    if file == Path::new("-") {
        let bytes = bounded(io::stdin()).context("standard input cannot be read")?;
        return Ok(Source { bytes, name: "standard input".to_owned() });
    }
    // Its folder says where relative names begin.
    let name = std::path::absolute(file).unwrap_or_else(|_| file.into());
    let name = name.display().to_string();
    let bytes = File::open(file).and_then(bounded);
    let bytes = bytes.with_context(|| format!("{name} cannot be read"))?;
    Ok(Source { bytes, name })
}

/// One byte more than may be read shows that there are too many.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn dump() -> anyhow::Result<Vec<u8>> {
    for program in PROGRAMS {
        let done = match Command::new(program).arg("-T").output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            done => done.with_context(|| format!("`{program} -T` cannot be run"))?,
        };
        if done.status.success() {
            return Ok(done.stdout);
        }
        let said = String::from_utf8_lossy(&done.stderr);
        // The first emergency is the reason; the line after it only says that the test failed.
        let reason = said.lines().find(|line| line.contains("[emerg]"));
        let reason = reason.or(said.lines().next()).unwrap_or("it says nothing");
        bail!("`{program} -T` failed: {reason}. Run aop init as root, after `nginx -t` succeeds");
    }
    bail!(
        "no nginx is on this host. Where it runs, for example in a container, let \
         `nginx -T > FILE` write its configuration, and give that FILE to --from-nginx"
    )
}
