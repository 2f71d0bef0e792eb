//! Rules of this repository that no lint knows: the length of a file, the width of a comment, the
//! addresses of `unsafe`, and one name for each public type.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::names;
use crate::workspace;

const MOST_LINES: usize = 400;

/// Columns that a comment may take.
const MOST_COLUMNS: usize = 100;

/// The only files with `unsafe` code: the pods, the frame reader, the maps.
const UNSAFE: [&str; 3] =
    ["aop-common/src/pod.rs", "aop-ebpf/src/frame.rs", "aop-ebpf/src/maps.rs"];

/// A Rust file.
pub(crate) struct Source {
    /// Its path, relative to the root of the repository.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

pub(crate) fn check() -> Result<()> {
    let mut sources = Vec::new();
    for path in rust_files(workspace::root()).context("cannot list the sources")? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sources.push(Source { path: workspace::short(&path).to_string(), text });
    }
    let in_files = sources.iter().flat_map(|source| complaints_about(&source.path, &source.text));
    let complaints: Vec<String> = in_files.chain(names::complaints(&sources)).collect();
    if complaints.is_empty() { Ok(()) } else { bail!("{}", complaints.join("\n")) }
}

/// All Rust files outside of hidden and target directories.
fn rust_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(rust_files(&path)?);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn complaints_about(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        complaints.push(format!("{path}: {lines} lines, over {MOST_LINES}: split it by ideas"));
    }
    for (index, line) in text.lines().enumerate() {
        let code = code_of(line);
        let mut complain = |what: &str| complaints.push(format!("{path}:{}: {what}", index + 1));
        if has_word(&code, "unsafe") && !may_be_unsafe(path, &code) {
            complain(&format!("unsafe code outside {}", UNSAFE.join(", ")));
        }
        if is_comment(line) && line.chars().count() > MOST_COLUMNS {
            complain(&format!("a comment over {MOST_COLUMNS} columns: wrap it"));
        }
    }
    complaints
}

/// Attributes for the loader contain the word `unsafe`, but no unsafe code.
fn may_be_unsafe(path: &str, code: &str) -> bool {
    let attribute = path.starts_with("aop-ebpf/") && code.trim_start().starts_with("#[unsafe(");
    attribute || UNSAFE.contains(&path)
}

/// Whether the whole line is a comment. A link cannot be wrapped.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//") && !line.contains("://")
}

/// The line without its comment and without the content of its strings.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        code.push_str(before);
        rest = match from {
            _ if from.starts_with("//") => return code,
            _ if from.starts_with("'\"'") => from.split_at(3).1,
            _ if from.starts_with('"') => after_string(from.split_at(1).1),
            _ => from.split_at(1).1,
        };
    }
    code + rest
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !escaped => return text.split_at(at + 1).1,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    ""
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_rules() {
        check().unwrap();
    }

    #[test]
    fn a_long_file_is_reported_with_its_length() {
        let text = "\n".repeat(MOST_LINES + 1);
        assert_eq!(
            complaints_about("a.rs", &text),
            ["a.rs: 401 lines, over 400: split it by ideas"]
        );
    }

    #[test]
    fn unsafe_code_is_allowed_only_in_its_files() {
        let code = "let a = 1;\nunsafe { b() };";
        assert_eq!(complaints_about("aop-common/src/policy.rs", code).len(), 1);
        assert!(complaints_about("aop-common/src/pod.rs", code).is_empty());
    }

    #[test]
    fn unsafe_attributes_are_allowed_in_the_packet_program() {
        let attribute = "    #[unsafe(no_mangle)]";
        assert!(complaints_about("aop-ebpf/src/log.rs", attribute).is_empty());
        assert_eq!(complaints_about("aop-common/src/lib.rs", attribute).len(), 1);
    }

    #[test]
    fn comments_strings_and_longer_words_do_not_count() {
        for line in ["// unsafe", "let a = \"say \\\"unsafe\\\" //\";", "#![deny(unsafe_code)]"] {
            assert!(complaints_about("a.rs", line).is_empty(), "{line}");
        }
        assert_eq!(complaints_about("a.rs", "f('\"', \"\"); unsafe { g() }").len(), 1);
    }

    #[test]
    fn a_wide_comment_is_reported_with_its_line_unless_it_is_a_link() {
        let wide = "x".repeat(MOST_COLUMNS);
        let found = complaints_about("a.rs", &format!("code();\n/// {wide}"));
        assert_eq!(found, ["a.rs:2: a comment over 100 columns: wrap it"]);
        let link = format!("/// <https://example.com/{wide}>\nlet a = \"{wide}\";");
        assert!(complaints_about("a.rs", &link).is_empty());
    }
}
