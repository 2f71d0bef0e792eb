//! The number of connections that the limit of open files allows.

use aop_config::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Reserve for files other than connections, and for connections that are being closed.
const OTHER_FILES: u64 = 64;

/// Reduces `configured` to the connections that the limit of open files allows. Raises the soft
/// limit first, which is often 1024.
pub(super) fn reduce_to_file_limit(configured: Limits) -> Limits {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("cannot raise the limit of open files above {:?}: {error}", limit.current);
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return configured };
    let reduced = fit(configured, files);
    let Limits { connections, handshakes, .. } = reduced;
    if reduced != configured {
        tracing::warn!(
            "only {files} files may be open, so limits.connections is reduced to {connections} and \
             limits.handshakes to {handshakes}: raise the limit (systemd: LimitNOFILE=)"
        );
    }
    reduced
}

/// A connection takes one file until it has authenticated, then two. If there are too few files,
/// pending handshakes get a quarter of them.
fn fit(configured: Limits, files: u64) -> Limits {
    let files = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let (connections, handshakes) = (configured.connections, configured.handshakes);
    if connections.saturating_mul(2).saturating_add(handshakes) <= files {
        return configured;
    }
    let handshakes = handshakes.min(files / 4).max(1);
    let connections = connections.min(files.saturating_sub(handshakes) / 2).max(1);
    Limits { connections, handshakes, ..configured }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(connections: usize, handshakes: usize, files: u64) -> (usize, usize) {
        let reduced = fit(
            Limits { connections, handshakes, per_peer: 256, workers: None },
            files + OTHER_FILES,
        );
        (reduced.connections, reduced.handshakes)
    }

    #[test]
    fn limits_are_kept_if_there_are_enough_files_and_else_reduced_to_fit() {
        assert_eq!(reduced(10_000, 1024, 21_024), (10_000, 1024));
        assert_eq!(reduced(10_000, 1024, 21_023), (9999, 1024));
        assert_eq!(reduced(10_000, 1024, 1000), (375, 250));
        assert_eq!(reduced(10, 1024, 1000), (10, 250));
        assert_eq!(reduced(10_000, 1024, 0), (1, 1));
    }
}
