//! Whether the configuration file still is what runs.

use std::{fs, path::Path};

use aop_api::{Status, moment_text};
use aop_config::{Config, WatchedFiles};
use jiff::Timestamp;

use super::Daemon;

/// The configuration file beside the text that was loaded.
#[derive(Debug, PartialEq, Eq)]
enum ConfigOnDisk {
    AsLoaded,
    /// Its text differs. The time is that of the file, where it has one.
    Changed(Option<Timestamp>),
    /// Why not.
    Unreadable(String),
}

impl Daemon {
    /// Adds to `status` that the configuration file differs from what runs. Where it is watched, a
    /// change is loaded at once, or the last reload says why not.
    pub(super) fn compare_config_file(&self, status: &mut Status) {
        let (watched, source) = {
            let policy = self.policy.read();
            (policy.live.watch, policy.source.clone())
        };
        if watched == WatchedFiles::All {
            return;
        }
        let file = self.reloads.file();
        let shown = file.display();
        match compare(file, &source.text) {
            ConfigOnDisk::AsLoaded => {}
            ConfigOnDisk::Changed(at) => {
                let when = at
                    .map_or(String::new(), |at| format!(" {}", moment_text(at, Timestamp::now())));
                status.warnings.push(format!(
                    "{shown} was changed{when} and is not what runs: `aop check`, then `aop \
                     reload` takes it up"
                ));
                if let Some(daemon) = &mut status.daemon {
                    daemon.config_changed = at;
                }
            }
            ConfigOnDisk::Unreadable(error) => status.warnings.push(format!(
                "{error}. The configuration in force stays, but aop could not start again"
            )),
        }
    }
}

fn compare(file: &Path, loaded: &str) -> ConfigOnDisk {
    match Config::text(file) {
        Ok(text) if text == loaded => ConfigOnDisk::AsLoaded,
        Ok(_) => {
            let modified = fs::metadata(file).and_then(|found| found.modified()).ok();
            ConfigOnDisk::Changed(modified.and_then(|at| Timestamp::try_from(at).ok()))
        }
        Err(error) => ConfigOnDisk::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_loaded_changed_or_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("aop.toml");
        fs::write(&file, "a").expect("written");
        assert_eq!(compare(&file, "a"), ConfigOnDisk::AsLoaded);
        assert!(matches!(compare(&file, "b"), ConfigOnDisk::Changed(Some(_))));
        fs::remove_file(&file).expect("removed");
        assert!(matches!(compare(&file, "a"), ConfigOnDisk::Unreadable(_)));
    }
}
