//! The views of other hosts: a file for each, beside the record. The roll that waits for them
//! holds the record.

use std::{fs, io, path::Path};

use aop_api::SeenIdentities;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{record::RollRecord, record_file::RollRecordError};

const EXTENSION: &str = "report";

/// The report of another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollReport {
    /// The name of the host.
    pub host: String,
    /// When its report was taken in.
    pub at: Timestamp,
    /// The certificates that it has seen.
    pub seen: SeenIdentities,
}

impl RollReport {
    /// Keeps the report for the roll of `site`, in place of an earlier one of the same host.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, state: &Path, site: &str) -> Result<(), RollRecordError> {
        let name = format!("{site}@{}.{EXTENSION}", self.host);
        let directory = RollRecord::directory(state);
        let unusable = |error| RollRecordError::Unusable { file: directory.join(&name), error };
        let text = serde_json::to_vec(self).map_err(|it| unusable(it.into()))?;
        aop_storage::write_private(&directory, &name, &text).map_err(unusable)
    }

    /// The reports for the roll of `site`. One that is damaged counts as none: another replaces it.
    #[must_use]
    pub fn load_all(state: &Path, site: &str) -> Vec<Self> {
        let texts = Self::names(state, site).into_iter();
        let texts = texts.filter_map(|it| fs::read(RollRecord::directory(state).join(it)).ok());
        texts.filter_map(|text| serde_json::from_slice(&text).ok()).collect()
    }

    pub(super) fn remove_all(state: &Path, site: &str) -> Result<(), RollRecordError> {
        let directory = RollRecord::directory(state);
        Self::names(state, site).into_iter().try_for_each(|name| {
            let unusable =
                |error: io::Error| RollRecordError::Unusable { file: directory.join(&name), error };
            aop_storage::remove(&directory, &name).map_err(unusable)
        })
    }

    fn names(state: &Path, site: &str) -> Vec<String> {
        let entries = fs::read_dir(RollRecord::directory(state)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let (begin, end) = (format!("{site}@"), format!(".{EXTENSION}"));
        names.filter(|name| name.starts_with(&begin) && name.ends_with(&end)).collect()
    }
}
