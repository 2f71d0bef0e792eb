//! The file of a record: one for each site, in the directory `cloudflare` of `paths.state`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aop_config::{Config, HostPattern, SiteConfig};
use serde::Deserialize;

use super::{record::RollRecord, report::RollReport};

/// The version of the file.
pub(super) const VERSION: u32 = 1;
/// The directory below `paths.state`.
const DIRECTORY: &str = "cloudflare";
const EXTENSION: &str = "json";

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RollRecordError {
    /// It cannot be read or written.
    #[error("{}: {error}; correct paths.state, its permissions, or make room", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// It is damaged.
    #[error(
        "{}: this record of a roll is damaged ({why}). Nothing is begun anew beside it. Look at \
         `aop cloudflare status`: delete certificates that you do not know at Cloudflare, then move \
         this file away, and run the roll again",
        .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The error of the parser.
        why: String,
    },
    /// Another version of aop wrote it.
    #[error(
        "{}: another version of aop wrote this record of a roll (form {found}, this aop knows \
         {VERSION}). Finish the roll with that version, or move this file away and look at \
         `aop cloudflare status`",
        .file.display()
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Its form.
        found: u64,
    },
}

impl RollRecord {
    /// The directory of the records.
    #[must_use]
    pub fn directory(state: &Path) -> PathBuf {
        state.join(DIRECTORY)
    }

    /// The file of this site with this extension: `json`, `pem`, `key` or `csr`.
    #[must_use]
    pub fn file(state: &Path, site: &str, extension: &str) -> PathBuf {
        Self::directory(state).join(format!("{site}.{extension}"))
    }

    /// The record of `site`, if there is one.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or of another version.
    pub fn load(state: &Path, site: &str) -> Result<Option<Self>, RollRecordError> {
        let file = Self::file(state, site, EXTENSION);
        match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RollRecordError::Unusable { file, error }),
            Ok(text) => Self::parse(file, &text).map(Some),
        }
    }

    /// The roll in progress of `site`: under its name or, if that was changed meanwhile, the one of
    /// a name that no site has, with one of its hosts.
    ///
    /// # Errors
    /// The record of its name cannot be read, is damaged, or of another version.
    pub fn running(
        state: &Path,
        config: &Config,
        site: &SiteConfig,
    ) -> Result<Option<Self>, RollRecordError> {
        let own = Self::load(state, &site.name)?.filter(|it| !it.is_done());
        if own.is_some() {
            return Ok(own);
        }
        let hosts: Vec<String> = site.hosts.iter().map(HostPattern::to_string).collect();
        let names = config.live.site_names();
        let mut left = Self::load_all(state)?.into_iter().flatten();
        Ok(left.find(|it| {
            !it.is_done()
                && !names.contains(&it.site)
                && it.hosts.iter().any(|host| hosts.contains(host))
        }))
    }

    /// Gives the record, and the files beside it, the name `site`. Reports of other hosts are
    /// removed: they come again.
    ///
    /// # Errors
    /// A file cannot be renamed.
    pub fn rename(&mut self, state: &Path, site: &str) -> Result<(), RollRecordError> {
        for extension in ["key", "csr", "pem"] {
            let file = Self::file(state, &self.site, extension);
            match fs::rename(&file, Self::file(state, site, extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RollRecordError::Unusable { file, error });
                }
                Err(_) | Ok(()) => {}
            }
        }
        let former = self.clone();
        site.clone_into(&mut self.site);
        self.store(state)?;
        // The record of the former name, and its reports.
        former.remove(state)
    }

    /// The records of all sites, by name. One that cannot be used does not hide the others.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn load_all(state: &Path) -> Result<Vec<Result<Self, RollRecordError>>, RollRecordError> {
        let directory = Self::directory(state);
        let unusable = |error| RollRecordError::Unusable { file: directory.clone(), error };
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unusable)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let file = entry.map_err(unusable)?.path();
            let hidden = file.file_name().is_none_or(|it| it.as_encoded_bytes().starts_with(b"."));
            if !hidden && file.extension().is_some_and(|it| it == EXTENSION) {
                files.push(file);
            }
        }
        files.sort_unstable();
        let read = |file: PathBuf| match fs::read(&file) {
            Err(error) => Err(RollRecordError::Unusable { file, error }),
            Ok(text) => Self::parse(file, &text),
        };
        Ok(files.into_iter().map(read).collect())
    }

    fn parse(file: PathBuf, text: &[u8]) -> Result<Self, RollRecordError> {
        #[derive(Deserialize)]
        struct OnlyVersion {
            version: u64,
        }
        match serde_json::from_slice::<OnlyVersion>(text) {
            Err(error) => Err(RollRecordError::Damaged { file, why: error.to_string() }),
            Ok(OnlyVersion { version }) if version != u64::from(VERSION) => {
                Err(RollRecordError::Version { file, found: version })
            }
            Ok(_) => serde_json::from_slice(text)
                .map_err(|error| RollRecordError::Damaged { file, why: error.to_string() }),
        }
    }

    /// Writes the record, so that it survives a crash.
    ///
    /// # Errors
    /// It cannot be written. The old one stays.
    pub fn store(&self, state: &Path) -> Result<(), RollRecordError> {
        let unusable = |error| RollRecordError::Unusable {
            file: Self::file(state, &self.site, EXTENSION),
            error,
        };
        let text = serde_json::to_vec_pretty(self).map_err(|it| unusable(it.into()))?;
        let name = format!("{}.{EXTENSION}", self.site);
        aop_storage::write_private(&Self::directory(state), &name, &text).map_err(unusable)
    }

    /// Removes the record and the files beside it.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn remove(&self, state: &Path) -> Result<(), RollRecordError> {
        let directory = Self::directory(state);
        RollReport::remove_all(state, &self.site)?;
        for extension in ["key", "csr", "pem", EXTENSION] {
            let name = format!("{}.{extension}", self.site);
            aop_storage::remove(&directory, &name).map_err(|error| RollRecordError::Unusable {
                file: directory.join(&name),
                error,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{RollBefore, RollTarget};

    #[test]
    fn a_roll_is_found_after_the_name_of_its_site_was_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        let site = |hosts: &str| {
            format!(
                "[[site]]\nhosts = [{hosts}]\ncertificate = \"server.pem\"\nkey = \
                 \"server.key\"\nupstream = \"http://127.0.0.1:8080\"\nclient_ca = \
                 [\"pull-ca.pem\"]\n"
            )
        };
        let config = |sites: &[&str]| {
            let sites: String = sites.iter().map(|hosts| site(hosts)).collect();
            let text = format!("[[listener]]\nbind = [\"0.0.0.0:443\"]\n{sites}");
            Config::parse("aop.toml".as_ref(), &text).expect(&text)
        };
        let running = |config: &Config, at: usize| {
            let site = &config.live.sites[at];
            RollRecord::running(&state, config, site).expect("read").map(|it| it.site)
        };
        let mut begun = record("example.com");
        begun.store(&state).expect("stored");
        fs::write(RollRecord::file(&state, "example.com", "key"), "a key").expect("written");
        let swapped = config(&["\"*.example.com\", \"example.com\"", "\"b.example\""]);
        assert_eq!(running(&swapped, 0).as_deref(), Some("example.com"));
        assert_eq!(running(&swapped, 1), None);
        // The site of that name is there, and has another host.
        let both = config(&["\"example.com\"", "\"*.example.com\""]);
        assert_eq!(running(&both, 1), None);
        begun.rename(&state, "*.example.com").expect("renamed");
        assert_eq!(running(&swapped, 0).as_deref(), Some("*.example.com"));
        let key = fs::read_to_string(RollRecord::file(&state, "*.example.com", "key"));
        assert_eq!(key.expect("the key"), "a key");
        assert!(RollRecord::load(&state, "example.com").expect("read").is_none());
        begun.reach(crate::RollStep::Done, Timestamp::UNIX_EPOCH);
        begun.store(&state).expect("stored");
        assert_eq!(running(&swapped, 0), None);
    }

    fn record(site: &str) -> RollRecord {
        let before = RollBefore {
            global_on: false,
            zone_on: true,
            certificates: Vec::new(),
            associations: Vec::new(),
        };
        let zone = ("z".parse().expect("an id"), "example.com".to_owned());
        RollRecord::new(site.to_owned(), vec![site.to_owned()], zone, RollTarget::Zone, before)
    }

    #[test]
    fn a_record_is_kept_and_one_that_is_cut_or_of_another_version_is_an_error_with_a_cure() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        assert!(RollRecord::load_all(&state).expect("none").is_empty());
        assert!(RollRecord::load(&state, "a.example").expect("none").is_none());
        let (mut first, second) = (record("a.example"), record("*.example"));
        first.fail(Timestamp::UNIX_EPOCH, "no answer".to_owned());
        first.store(&state).expect("stored");
        second.store(&state).expect("stored");
        assert_eq!(RollRecord::load(&state, "a.example").expect("read"), Some(first.clone()));
        let file = RollRecord::file(&state, "*.example", "json");
        let whole = fs::read(&file).expect("read");
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).expect("written");
            let error = RollRecord::load(&state, "*.example").expect_err("it is cut").to_string();
            assert!(error.contains("*.example.json: ") && error.contains("move this"), "{error}");
        }
        let all = RollRecord::load_all(&state).expect("the directory");
        assert!(all[0].is_err() && all[1].as_ref().is_ok_and(|it| *it == first), "{all:?}");
        let newer = String::from_utf8(whole).expect("text");
        fs::write(&file, newer.replace("\"version\": 1", "\"version\": 2")).expect("written");
        let error = RollRecord::load(&state, "*.example").expect_err("it is newer").to_string();
        assert!(error.contains("another version of aop") && error.contains("form 2"), "{error}");
    }
}
