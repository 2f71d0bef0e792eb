//! The output of `nginx -T`: its files.

use std::sync::Arc;

/// Begins a file in the output.
const HEADER: &str = "# configuration file ";

/// The files of a configuration.
pub(super) struct Dump<'a> {
    /// Each file with its text; the main one comes first.
    pub(super) files: Vec<(Arc<str>, &'a str)>,
    /// The folder to which relative names of files refer.
    pub(super) folder: String,
    /// Whether it has every file, as the output of `nginx -T` has.
    pub(super) whole: bool,
}

/// Splits `text`, which was read from `name`. A text without the headers of `nginx -T` is one file.
pub(super) fn split<'a>(text: &'a str, name: &str) -> Dump<'a> {
    let files = sections(text);
    if let Some((main, _)) = files.first() {
        let folder = parent(main).to_owned();
        return Dump { files, folder, whole: true };
    }
    // Beside the main file relative names say nothing about where their own file is.
    let folder = if name.ends_with("/nginx.conf") { parent(name) } else { "/etc/nginx" };
    Dump { files: vec![(name.into(), text)], folder: folder.to_owned(), whole: false }
}

/// The files after their headers; empty if the text does not begin with a header. Messages of
/// nginx may stand before it, if standard error went to the same file.
fn sections(text: &str) -> Vec<(Arc<str>, &str)> {
    let mut found: Vec<(Arc<str>, &str)> = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        match (header(line), open) {
            (Some(name), before) => {
                found.extend(before.map(|(name, from)| (name.into(), &text[from..at])));
                open = Some((name, next));
            }
            (None, None) if line.trim().is_empty() || line.starts_with("nginx: ") => {}
            (None, None) => return Vec::new(),
            (None, Some(_)) => {}
        }
        at = next;
    }
    found.extend(open.map(|(name, from)| (name.into(), &text[from..])));
    found
}

fn header(line: &str) -> Option<&str> {
    let name = line.trim_end().strip_prefix(HEADER)?.strip_suffix(':')?;
    (!name.is_empty()).then_some(name)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| if folder.is_empty() { "/" } else { folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_split_at_its_headers_and_messages_before_it_are_left_out() {
        let text = "nginx: the configuration file /o/nginx.conf syntax is ok\n\
                    # configuration file /o/nginx.conf:\na;\n# a comment\n\n\
                    # configuration file /o/b.conf:\nb;";
        let dump = split(text, "dump.txt");
        let files: Vec<(&str, &str)> = dump.files.iter().map(|(name, it)| (&**name, *it)).collect();
        assert_eq!(files, [("/o/nginx.conf", "a;\n# a comment\n\n"), ("/o/b.conf", "b;")]);
        assert_eq!((dump.folder.as_str(), dump.whole), ("/o", true));
    }

    #[test]
    fn a_text_that_does_not_begin_with_a_header_is_one_file() {
        let text = "user x;\n# configuration file /o/nginx.conf:\n";
        for (name, folder) in [("/a/nginx.conf", "/a"), ("/etc/nginx/sites/b", "/etc/nginx")] {
            let dump = split(text, name);
            assert_eq!((dump.files[0].1, dump.folder.as_str()), (text, folder));
            assert!(!dump.whole && dump.files.len() == 1);
        }
    }
}
