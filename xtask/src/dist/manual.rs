//! aop.toml(5), made of `docs/configuration.md`, so that both say the same.
//!
//! It knows the Markdown of that page: headings, paragraphs, lists, tables, blocks of code. A table
//! becomes a list: the first cell of a row is the term, the others follow it.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use roff::{Inline, Roff, bold, italic, roman};

use crate::workspace;

const SOURCE: &str = "docs/configuration.md";
const PAGE: &str = "aop.toml.5";
/// Where the package has the documents to which the page links.
const DOCUMENTS: &str = "/usr/share/doc/aop/docs";

/// Writes the page into `folder`.
pub(super) fn write(folder: &Path) -> Result<()> {
    let source = workspace::root().join(SOURCE);
    let text =
        fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let page = folder.join(PAGE);
    fs::write(&page, render(&text)).with_context(|| format!("cannot write {}", page.display()))
}

fn render(markdown: &str) -> String {
    let mut page = Page::default();
    page.roff.control("TH", ["AOP.TOML", "5", "", "aop", ""]);
    // No word is broken: names of keys and files are to be copied.
    page.roff.control("nh", []);
    page.section("NAME");
    page.roff.text([roman("aop.toml - the configuration of aop")]);
    Parser::new_ext(markdown, Options::ENABLE_TABLES).for_each(|event| page.add(event));
    page.section("FILES");
    page.term("/etc/aop/aop.toml", "The file that aop reads, unless --config names another.");
    page.section("SEE ALSO");
    page.roff.text([
        bold("aop"),
        roman("(1), "),
        bold("aop-check"),
        roman("(1), "),
        bold("aop-reload"),
        roman(format!("(1). The documents that this page names are in {DOCUMENTS}.")),
    ]);
    page.roff.render()
}

#[derive(Default)]
struct Page {
    roff: Roff,
    /// The text since the last heading, paragraph or cell began.
    inlines: Vec<Inline>,
    face: Face,
    /// The heads of the columns of the table.
    heads: Vec<String>,
    /// The cells of the row.
    cells: Vec<Vec<Inline>>,
    /// Whether the next paragraph continues an item of a list.
    in_item: bool,
}

#[derive(Clone, Copy, Default)]
enum Face {
    #[default]
    Roman,
    Bold,
    Italic,
    /// A block of code: its lines stay as they are.
    Code,
}

impl Page {
    fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.inlines.push(match self.face {
                Face::Roman | Face::Code => roman(text.as_ref()),
                Face::Bold => bold(text.as_ref()),
                Face::Italic => italic(text.as_ref()),
            }),
            Event::Code(code) => self.inlines.push(bold(code.as_ref())),
            Event::SoftBreak | Event::HardBreak => self.inlines.push(roman(" ")),
            // Comments for the test that runs the page's commands.
            Event::Html(_) | Event::InlineHtml(_) => {}
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "not an enum of ours")]
    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.face = Face::Bold,
            Tag::Emphasis => self.face = Face::Italic,
            Tag::CodeBlock(_) => self.face = Face::Code,
            Tag::Item => {
                self.roff.control("IP", ["\u{2022}", "2"]);
                self.in_item = true;
            }
            Tag::Paragraph if !self.in_item => {
                self.roff.control("PP", []);
            }
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "not an enum of ours")]
    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => self.face = Face::Roman,
            // The page's own title.
            TagEnd::Heading(HeadingLevel::H1) => {
                self.inlines.clear();
                self.section("DESCRIPTION");
            }
            TagEnd::Heading(HeadingLevel::H2) => {
                let title = plain(&self.inlines).to_uppercase();
                self.inlines.clear();
                self.section(&title);
            }
            TagEnd::Paragraph | TagEnd::Heading(_) => self.flush(),
            TagEnd::Item => {
                self.flush();
                self.in_item = false;
            }
            TagEnd::List(_) => {
                self.roff.control("PP", []);
            }
            TagEnd::CodeBlock => {
                self.face = Face::Roman;
                self.code();
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inlines);
                self.cells.push(cell);
            }
            TagEnd::TableHead => {
                self.heads = self.cells.drain(..).map(|cell| plain(&cell)).collect();
            }
            TagEnd::TableRow => self.row(),
            TagEnd::Table => {
                self.roff.control("PP", []);
            }
            _ => {}
        }
    }

    fn section(&mut self, title: &str) {
        self.roff.control("SH", [title]);
    }

    fn term(&mut self, term: &str, meaning: &str) {
        self.roff.control("TP", []);
        self.roff.text([bold(term)]);
        self.roff.text([roman(meaning)]);
    }

    fn flush(&mut self) {
        let inlines = std::mem::take(&mut self.inlines);
        if !inlines.is_empty() {
            self.roff.text(inlines);
        }
    }

    fn code(&mut self) {
        let code = plain(&std::mem::take(&mut self.inlines));
        self.roff.control("PP", []);
        self.roff.control("RS", ["4"]);
        self.roff.control("nf", []);
        for line in code.trim_end().lines() {
            self.roff.text([roman(line)]);
        }
        self.roff.control("fi", []);
        self.roff.control("RE", []);
    }

    /// A row of a table: its first cell is the term; a default comes last.
    fn row(&mut self) {
        let mut cells = std::mem::take(&mut self.cells).into_iter();
        self.roff.control("TP", []);
        self.roff.text(cells.next().unwrap_or_default());
        let mut text: Vec<Inline> = Vec::new();
        let mut default = Vec::new();
        for (head, cell) in self.heads.iter().skip(1).zip(cells) {
            if head == "default" {
                default = cell;
                continue;
            }
            if !text.is_empty() {
                text.push(roman("; "));
            }
            text.extend(cell);
        }
        if !["", "–"].contains(&plain(&default).as_str()) {
            text.push(roman(". Default: "));
            text.extend(default);
        }
        text.push(roman("."));
        self.roff.text(text);
    }
}

/// The text without its faces.
fn plain(inlines: &[Inline]) -> String {
    let text = |inline: &Inline| match inline {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text.clone(),
        Inline::LineBreak => " ".to_owned(),
    };
    inlines.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_a_list_and_code_keeps_its_lines() {
        let page = render(
            "# Title\n\nThe *file*.\n\n## Keys\n| key | default | meaning |\n|---|---|---|\n\
             | `a.b` | `1h` | how long; see [More](x.md) |\n| `c` | – | a name |\n\n```toml\n[a]\n\
             b = \"1h\"\n```\n- one `x`\n- two\n",
        );
        for wanted in [
            ".SH DESCRIPTION\n.PP\nThe \\fIfile\\fR.\n",
            ".SH KEYS\n.TP\n\\fBa.b\\fR\nhow long; see More. Default: \\fB1h\\fR.\n",
            ".TP\n\\fBc\\fR\na name.\n",
            ".nf\n[a]\nb = \"1h\"\n.fi\n",
        ] {
            assert!(page.contains(wanted), "no {wanted:?} in {page}");
        }
    }

    #[test]
    fn the_page_has_every_key_of_the_document() {
        let source = fs::read_to_string(workspace::root().join(SOURCE)).expect("the document");
        let page = render(&source);
        let keys: Vec<&str> = source
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key))
            .filter(|key| key.contains('.'))
            .collect();
        assert!(keys.len() > 50, "{keys:?}");
        for key in keys {
            assert!(page.contains(&format!(".TP\n\\fB{key}\\fR")), "{key} is missing");
        }
        assert!(!page.contains("<!--"), "a comment of the document is in the page");
    }
}
