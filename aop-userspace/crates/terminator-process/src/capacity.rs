//! How many connections this process has file descriptors for.

use aop_config::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are not of connections, and those of connections that are just being closed.
const OTHER_FILES: u64 = 64;

/// As many connections as there are file descriptors for, and no more than `wished`. The soft
/// limit, which is often 1024, is raised first.
pub(super) fn affordable(wished: Limits) -> Limits {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return wished };
    let had = within(wished, files);
    let Limits { connections, handshakes, .. } = had;
    if had != wished {
        tracing::warn!(
            "{files} files may be open, so limits.connections is {connections} and \
             limits.handshakes {handshakes}, less than configured: raise the limit (systemd: \
             LimitNOFILE=)"
        );
    }
    had
}

/// A connection takes one file until it has authenticated, then two. Where there are too few, those
/// that have not authenticated get a quarter.
fn within(wished: Limits, files: u64) -> Limits {
    let files = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let (connections, handshakes) = (wished.connections, wished.handshakes);
    if connections.saturating_mul(2).saturating_add(handshakes) <= files {
        return wished;
    }
    let handshakes = handshakes.min(files / 4).max(1);
    let connections = connections.min(files.saturating_sub(handshakes) / 2).max(1);
    Limits { connections, handshakes, ..wished }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn had(connections: usize, handshakes: usize, files: u64) -> (usize, usize) {
        let had = within(
            Limits { connections, handshakes, per_peer: 256, workers: None },
            files + OTHER_FILES,
        );
        (had.connections, had.handshakes)
    }

    #[test]
    fn what_there_are_files_for_is_kept_and_what_is_cut_fits() {
        assert_eq!(had(10_000, 1024, 21_024), (10_000, 1024));
        assert_eq!(had(10_000, 1024, 21_023), (9999, 1024));
        assert_eq!(had(10_000, 1024, 1000), (375, 250));
        assert_eq!(had(10, 1024, 1000), (10, 250));
        assert_eq!(had(10_000, 1024, 0), (1, 1));
    }
}
