//! A table of claims and what became of them, for people.

use std::fmt::{self, Display};

/// One claim.
#[derive(Clone, Debug)]
struct Row {
    cells: [String; 5],
    held: bool,
}

/// The claims so far. Displays as a table with a heading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

const HEADING: [&str; 5] = ["WHO", "OVER", "TRIES", "EXPECTED", "WHAT HAPPENED"];

impl Report {
    /// Adds a claim: who tries what over which IP version, what is to happen, what happened, and
    /// whether that is the same.
    pub(crate) fn claim(
        &mut self,
        who: &str,
        over: impl Display,
        tries: &str,
        expected: &str,
        happened: impl Display,
        held: bool,
    ) {
        let cells =
            [who.into(), over.to_string(), tries.into(), expected.into(), happened.to_string()];
        self.rows.push(Row { cells, held });
    }

    /// These claims and then those of `later`.
    #[must_use]
    pub(crate) fn and(mut self, later: Self) -> Self {
        self.rows.extend(later.rows);
        self
    }

    /// How many held.
    #[must_use]
    pub(crate) fn passed(&self) -> usize {
        self.rows.iter().filter(|row| row.held).count()
    }

    /// How many did not.
    #[must_use]
    pub(crate) fn failed(&self) -> usize {
        self.rows.len() - self.passed()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = HEADING.map(str::to_owned);
        let all = || self.rows.iter().map(|row| &row.cells).chain([&heading]);
        let widths: [usize; 5] = std::array::from_fn(|column| {
            all().map(|cells| cells[column].chars().count()).max().unwrap_or_default()
        });
        let line = |cells: &[String; 5]| {
            cells
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("  {cell:width$}"))
                .collect::<String>()
        };
        writeln!(f, "  {:4}{}", "", line(&heading).trim_end())?;
        for row in &self.rows {
            let mark = if row.held { "ok" } else { "FAIL" };
            writeln!(f, "  {mark:4}{}", line(&row.cells).trim_end())?;
        }
        Ok(())
    }
}
