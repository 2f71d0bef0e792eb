//! The last good fetched list on disk, so that a restart needs no network.
//!
//! A file that cannot be read counts as missing, and the problem is reported.

use std::{
    io,
    path::{Path, PathBuf},
};

use aop_config::ListUrl;
use aop_types::parse_prefix;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CurrentList, ListOrigin, PrefixList};

const NAME: &str = "prefixes.json";

/// Why the stored list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The content is not a stored list, or no longer passes validation.
    #[error(
        "{}: not a stored prefix list ({message}); it is ignored, and replaced after the next \
         fetch", .path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// The error.
        message: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot read the stored prefix list: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The file cannot be written.
    #[error(
        "{}: cannot store the fetched prefix list: {error}; a restart would use an older one. \
         Check paths.state, its permissions and the free space", .path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

/// The content of the file. Unknown fields are an error: they mean that another version wrote it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredList {
    url: String,
    confirmed: Timestamp,
    etag: Option<String>,
    prefixes: Vec<String>,
}

/// The list that an earlier run fetched from `url`, if the file in `state` has one from this URL.
pub(super) fn load(state: &Path, url: &ListUrl) -> Result<Option<CurrentList>, StoredError> {
    let path = state.join(NAME);
    let text = match aop_storage::read(state, NAME) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(error) => return Err(StoredError::Unreadable { path, error }),
    };
    let broken = |message| StoredError::Broken { path: path.clone(), message };
    let stored: StoredList =
        serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    if stored.url != url.as_str() {
        return Ok(None);
    }
    let prefixes =
        stored.prefixes.iter().map(|text| parse_prefix(text)).collect::<Result<Vec<_>, _>>();
    Ok(Some(CurrentList {
        list: PrefixList::new(prefixes.map_err(broken)?, stored.etag),
        origin: ListOrigin::Stored,
        confirmed: Some(stored.confirmed),
    }))
}

/// The error about a stored list that no longer passes validation.
pub(super) fn invalid_list(state: &Path, why: String) -> StoredError {
    StoredError::Broken { path: state.join(NAME), message: why }
}

/// Stores `held`, which was fetched from `url`, in the directory `state`.
///
/// # Errors
/// The directory or the file cannot be written. The previous content stays.
pub fn save(state: &Path, url: &ListUrl, held: &CurrentList) -> Result<(), StoredError> {
    let path = state.join(NAME);
    let stored = StoredList {
        url: url.as_str().to_owned(),
        confirmed: held.confirmed.unwrap_or(Timestamp::UNIX_EPOCH),
        etag: held.list.etag.clone(),
        prefixes: held.list.prefixes().iter().map(ToString::to_string).collect(),
    };
    let written =
        serde_json::to_vec_pretty(&stored).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            aop_storage::write(state, NAME, &text)
        });
    written.map_err(|error| StoredError::Unwritable { path, error })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::snapshot;

    fn url(text: &str) -> ListUrl {
        text.parse().expect("a URL")
    }

    #[test]
    fn a_saved_list_is_found_again_only_for_the_same_url() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("deep/state");
        let here = url("https://mirror.example/a");
        assert!(load(&state, &here).expect("nothing is no error").is_none());
        let held = CurrentList::now(snapshot().list, ListOrigin::Fetched);
        save(&state, &here, &held).expect("saved");
        let found = load(&state, &here).expect("read").expect("there");
        assert_eq!(found, CurrentList { origin: ListOrigin::Stored, ..held });
        assert!(load(&state, &url("https://mirror.example/b")).expect("read").is_none());
        assert_eq!(fs::read_dir(&state).expect("read").count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_truncated_file_is_reported_and_ignored() {
        let dir = tempfile::tempdir().expect("a directory");
        let here = url("https://mirror.example/a");
        save(dir.path(), &here, &snapshot()).expect("saved");
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).expect("read");
        // The last bytes are the closing brace and the newline.
        for end in 0..whole.len() - 1 {
            fs::write(&path, &whole[..end]).expect("written");
            let error = load(dir.path(), &here).expect_err("refused").to_string();
            assert!(error.contains("prefixes.json") && error.contains("ignored"), "{error}");
        }
    }
}
