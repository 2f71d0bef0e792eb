//! How many connections this process has file descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many of the `wished` connections as there are file descriptors for. A connection takes two,
/// and the soft limit, which is often 1024, is raised first.
pub(super) fn affordable(wished: usize) -> usize {
    const OTHER_FILES: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files stays at {:?}: {error}", limit.current);
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return wished };
    let affordable =
        usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(wished).max(1);
    if affordable < wished {
        tracing::warn!(
            "limits.connections is {wished}, but {files} files may be open, so at most {affordable} \
             connections are: raise the limit (systemd: LimitNOFILE=)"
        );
    }
    wished.min(affordable)
}
