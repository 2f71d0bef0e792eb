//! The failed tests and their messages, read from the output of the test harness. They are printed
//! again at the end: between are the logs of the failed tests, which may be thousands of lines.

use std::fmt::{self, Display, Formatter};

/// Lines of a message that are kept.
const KEPT: usize = 12;

#[derive(Debug, Default)]
pub(crate) struct Failures {
    tests: Vec<Failure>,
    in_message: bool,
}

#[derive(Debug)]
struct Failure {
    name: String,
    lines: Vec<String>,
}

impl Failures {
    /// Takes the next line of the output.
    pub(crate) fn read(&mut self, line: &str) {
        let section = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = section {
            self.in_message = false;
            return self.tests.push(Failure { name: name.to_owned(), lines: Vec::new() });
        }
        let Some(last) = self.tests.last_mut() else { return };
        if let Some((_, place)) = line.split_once("' panicked at ").or_else(|| panicked(line)) {
            self.in_message = true;
            last.lines.push(place.to_owned());
        } else if ends_message(line) {
            self.in_message = false;
        } else if self.in_message && last.lines.len() < KEPT {
            last.lines.push(line.to_owned());
        }
    }
}

/// The line of a panic with the number of its thread: `thread 'a::b' (123) panicked at a.rs:1:2:`.
fn panicked(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("thread '")?.split_once(") panicked at ")
}

fn ends_message(line: &str) -> bool {
    line.is_empty() || line == "stack backtrace:" || line.starts_with("note: ")
}

impl Display for Failures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Failure { name, lines } in &self.tests {
            writeln!(f, "\n{name} failed")?;
            lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failed_test_is_named_with_the_message_of_its_panic() {
        let output = "\
running 3 tests
test a::b ... FAILED
failures:

---- a::b stdout ----
log line

thread 'a::b' (123) panicked at src/a.rs:4:5:
at read 61: met by no call
Caused by: none
stack backtrace:
   0: main
INFO thread done

---- c stdout ----
thread 'c' panicked at src/c.rs:1:1:
no reason
note: run with `RUST_BACKTRACE=1`

failures:
    a::b
    c
";
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        let owed = "
a::b failed
    src/a.rs:4:5:
    at read 61: met by no call
    Caused by: none

c failed
    src/c.rs:1:1:
    no reason
";
        assert_eq!(failures.to_string(), owed);
        assert_eq!(Failures::default().to_string(), "");
    }
}
