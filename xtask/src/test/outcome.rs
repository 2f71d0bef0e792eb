//! Counts of tests, read from the output of the test harness.

use std::{
    fmt::{self, Display, Formatter},
    ops::AddAssign,
};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Outcome {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`. Ignored tests count
    /// as skipped; tests that a filter excluded do not count.
    pub(crate) fn of_result_line(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |label: &str| {
            let mut fields = counts.split("; ").map(str::trim);
            fields.find_map(|field| field.strip_suffix(label)?.trim().parse().ok())
        };
        let (passed, failed) = (count("passed")?, count("failed")?);
        Some(Self { passed, failed, skipped: count("ignored")? })
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The tests in the output of `--list`.
pub(crate) fn listed(output: &str) -> Vec<&str> {
    output.lines().filter_map(|line| line.strip_suffix(": test")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 2 ignored; 0 measured; 7 filtered \
                    out; finished in 0.01s";
        let outcome = Outcome { passed: 12, failed: 3, skipped: 2 };
        assert_eq!(Outcome::of_result_line(line), Some(outcome));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in ["test result", "test a ... ok", "running 3 tests", "test result: ok. x passed"]
        {
            assert_eq!(Outcome::of_result_line(line), None, "{line}");
        }
    }

    #[test]
    fn only_tests_are_listed() {
        let output =
            "a::b: test\nsrc/lib.rs - (line 3): test\nc: benchmark\n\n2 tests, 1 benchmark\n";
        assert_eq!(listed(output), ["a::b", "src/lib.rs - (line 3)"]);
    }

    #[test]
    fn the_final_line_has_all_three_counts() {
        let mut total = Outcome { passed: 1, failed: 0, skipped: 2 };
        total += Outcome { passed: 1, failed: 1, skipped: 0 };
        assert_eq!(total.to_string(), "2 passed, 1 failed, 2 skipped");
    }
}
