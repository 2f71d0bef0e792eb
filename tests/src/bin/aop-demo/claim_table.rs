//! A table of claims and their outcomes, for people.

use std::fmt::{self, Display};

/// One claim.
#[derive(Clone, Debug)]
struct Claim {
    cells: [String; 5],
    held: bool,
}

/// The claims so far. `Display` prints a table with a heading.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimTable {
    rows: Vec<Claim>,
}

const HEADING: [&str; 5] = ["WHO", "OVER", "TRIES", "EXPECTED", "WHAT HAPPENED"];

impl ClaimTable {
    /// Adds a claim: the host, the IP version, what the host tries, the expected outcome, the real
    /// outcome, and whether they agree.
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
        self.rows.push(Claim { cells, held });
    }

    /// These claims, followed by those of `later`.
    #[must_use]
    pub(crate) fn and(mut self, later: Self) -> Self {
        self.rows.extend(later.rows);
        self
    }

    /// The number of claims that held.
    #[must_use]
    pub(crate) fn passed(&self) -> usize {
        self.rows.iter().filter(|row| row.held).count()
    }

    /// The number of claims that did not hold.
    #[must_use]
    pub(crate) fn failed(&self) -> usize {
        self.rows.len() - self.passed()
    }
}

impl Display for ClaimTable {
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
