//! The code blocks of a document, which tests run as they stand.
//!
//! `cargo xtask walk` compiles this file too.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

/// A comment above a block says with this why the end-to-end tests do not run it.
const MARK: &str = "<!-- not run";

/// A code block of a page.
pub struct CodeBlock {
    /// The line of the page where it begins, from 1.
    pub line: usize,
    /// The word after the fence: `sh`, `toml`, `nginx`, or nothing.
    pub language: String,
    /// The reason why the end-to-end tests do not run it.
    pub excuse: Option<String>,
    /// Its lines, without the indentation of the fence.
    pub text: String,
}

/// The code blocks of `page`, in their order.
pub fn blocks(page: &Path) -> Result<Vec<CodeBlock>> {
    let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let mut blocks = Vec::new();
    let (mut above, mut open): (&str, Option<(usize, CodeBlock)>) = ("", None);
    for (number, line) in text.lines().enumerate() {
        let (indent, bare) = (line.len() - line.trim_start().len(), line.trim());
        match open.take() {
            Some((_, block)) if bare == "```" => blocks.push(block),
            Some((indent, mut block)) => {
                block.text += &format!("{}\n", line.get(indent..).unwrap_or_default());
                open = Some((indent, block));
            }
            None => {
                open = bare.strip_prefix("```").map(|language| {
                    let excuse = above.strip_prefix(MARK).and_then(|rest| rest.strip_suffix("-->"));
                    let block = CodeBlock {
                        line: number + 1,
                        language: language.to_owned(),
                        excuse: excuse.map(|excuse| excuse.trim_end().to_owned()),
                        text: String::new(),
                    };
                    (indent, block)
                });
            }
        }
        above = bare;
    }
    ensure!(open.is_none(), "{}: a block is not closed", page.display());
    Ok(blocks)
}
