//! The tables of reasons, and the page for operators that repeats them.

use std::{fs, path::Path};

use aop_common::{DropReason, PassReason};

/// The rows of the page, each a name, its meaning and the advice.
fn rows() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.md");
    let text = fs::read_to_string(&page).expect("the page can be read");
    text.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

#[test]
fn the_page_of_reasons_has_the_row_of_every_reason() {
    let rows = rows();
    let pass = PassReason::ALL.iter().map(|it| (it.name(), it.meaning(), it.advice()));
    let drop = DropReason::ALL.iter().map(|it| (it.name(), it.meaning(), it.advice()));
    for (name, meaning, advice) in pass.chain(drop) {
        let row = format!("| `{name}` | {meaning} | {advice} |");
        assert!(rows.contains(&row), "docs/reasons.md lacks this row:\n{row}");
    }
}
