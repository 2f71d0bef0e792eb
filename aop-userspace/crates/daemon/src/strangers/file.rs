//! Stores the strangers in `strangers.json`, over restarts. Nothing is decided by them, so a
//! damaged file is reported and ignored.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::table::{Place, Record, StrangerTable};

const NAME: &str = "strangers.json";

#[derive(Default, Serialize, Deserialize)]
struct Document {
    sources: Vec<Row>,
    networks: Vec<Row>,
    unlisted: u64,
    unrecorded: u64,
    counted: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    record: Record,
}

/// The strangers that an earlier run has stored in `state`; none where there is no file.
///
/// # Errors
/// The file exists and cannot be used; the error is a sentence.
pub(super) fn load(state: &Path) -> Result<StrangerTable, String> {
    let describe = |error: String| {
        format!("{}: {error}; the record of earlier strangers is lost", state.join(NAME).display())
    };
    let text = aop_storage::read(state, NAME)
        .map_err(|error| describe(format!("cannot be read: {error}")))?;
    let document: Option<Document> = text
        .map(|text| serde_json::from_slice(&text))
        .transpose()
        .map_err(|error| describe(format!("is damaged: {error}")))?;
    let Document { sources, networks, unlisted, unrecorded, counted } =
        document.unwrap_or_default();
    let records = |rows: Vec<Row>| rows.into_iter().map(|row| (row.place, row.record)).collect();
    Ok(StrangerTable {
        sources: records(sources),
        networks: records(networks),
        unlisted,
        unrecorded,
        counted,
    })
}

/// Stores `table` in the directory `state`.
///
/// # Errors
/// The directory or file cannot be written. The old file stays.
pub(super) fn save(state: &Path, table: &StrangerTable) -> io::Result<()> {
    let rows = |records: &std::collections::HashMap<Place, Record>| {
        let row =
            |(place, record): (&Place, &Record)| Row { place: *place, record: record.clone() };
        let mut rows: Vec<Row> = records.iter().map(row).collect();
        rows.sort_by_key(|row| row.place);
        rows
    };
    let StrangerTable { sources, networks, unlisted, unrecorded, counted } = table;
    let document = Document {
        sources: rows(sources),
        networks: rows(networks),
        unlisted: *unlisted,
        unrecorded: *unrecorded,
        counted: *counted,
    };
    aop_storage::write(state, NAME, &serde_json::to_vec(&document)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::table::tests::{filled, source},
        *,
    };

    #[test]
    fn stored_strangers_are_loaded_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("deep/state");
        assert_eq!(load(&state), Ok(StrangerTable::default()));
        let mut table = filled(10_000);
        table.compare(20_000, 10_000);
        table.compare(20_500, 100);
        save(&state, &table).expect("saved");
        let loaded = load(&state).expect("loaded");
        assert_eq!(loaded, table);
        assert_eq!(loaded.unrecorded, 400);
        let bytes = fs::metadata(state.join(NAME)).expect("a file").len();
        assert!(bytes < 3_000_000, "{bytes} bytes");
    }

    #[test]
    fn a_truncated_file_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut table = StrangerTable::default();
        table.count(&[source([192, 0, 2, 1].into(), 3)], 1000);
        save(dir.path(), &table).expect("saved");
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).expect("read");
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).expect("written");
            let error = load(dir.path()).expect_err("refused");
            assert!(error.contains("strangers.json: is damaged"), "{error}");
        }
    }
}
