//! The interfaces that were guarded last, in `paths.state`: `aop load` guards them at boot, before
//! any interface is up.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

const FILE: &str = "interfaces.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    interfaces: Vec<String>,
}

/// The names in the file; none without one. A file that cannot be used is a warning.
pub(super) fn load(state: &Path) -> Vec<String> {
    match try_load(state) {
        Ok(document) => document.interfaces,
        Err(error) => {
            let file = state.join(FILE);
            tracing::warn!(
                "{}: cannot read which interfaces were guarded last: {error}; aop writes the file \
                 anew once it serves",
                file.display()
            );
            Vec::new()
        }
    }
}

fn try_load(state: &Path) -> io::Result<Document> {
    let text = aop_storage::read(state, FILE)?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?.unwrap_or_default())
}

pub(super) fn store(state: &Path, interfaces: &[String]) -> io::Result<()> {
    let document = Document { interfaces: interfaces.to_vec() };
    aop_storage::write(state, FILE, &serde_json::to_vec(&document)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_loaded_and_a_damaged_file_is_empty() {
        let state = tempfile::tempdir().expect("a directory");
        assert!(load(state.path()).is_empty());
        let names = ["eth0".to_owned(), "wan.1".to_owned()];
        store(state.path(), &names).expect("stored");
        assert_eq!(load(state.path()), names);
        std::fs::write(state.path().join(FILE), "{").expect("written");
        assert!(load(state.path()).is_empty());
    }
}
