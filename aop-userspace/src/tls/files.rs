//! The one place where the files of a site are read.

use std::{fs, path::Path};

use super::error::{FileError, FileProblem};

/// The bytes of `file`; something besides white space is among them.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = fs::read(file).map_err(|error| FileProblem::Unreadable(error).of(file))?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Err(FileProblem::Empty.of(file)),
        false => Ok(bytes),
    }
}
