//! Puts the files together: the directives of an `include` stand in its place.

use std::{collections::HashMap, sync::Arc};

use glob::{MatchOptions, Pattern};

use super::{
    MOST_DEPTH, NginxError, Place,
    dump::Dump,
    tree::{Body, Budget, Directive, parse},
};
use crate::NotTaken;

/// As glob(3): a star stands for no slash, and not for a dot at the begin of a name.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The main file of `dump` with everything that it includes.
pub(super) fn whole(
    dump: &Dump<'_>,
    not_taken: &mut Vec<NotTaken>,
) -> Result<Vec<Directive>, NginxError> {
    let mut files: HashMap<&str, &str> = HashMap::new();
    for (name, text) in &dump.files {
        // nginx prints each file once. A second section of this name was not made by nginx.
        files.entry(name).or_insert(text);
    }
    let mut names: Vec<&str> = files.keys().copied().collect();
    names.sort_unstable();
    let mut splice =
        Splice { dump, files, names, budget: Budget::new(), open: Vec::new(), depth: 0, not_taken };
    dump.files.first().map_or(Ok(Vec::new()), |(main, _)| splice.file(main))
}

struct Splice<'a> {
    dump: &'a Dump<'a>,
    files: HashMap<&'a str, &'a str>,
    /// The names of all files, in order.
    names: Vec<&'a str>,
    budget: Budget,
    /// The files that are being read, from the main one.
    open: Vec<Arc<str>>,
    /// The blocks and files around the directive at hand.
    depth: usize,
    not_taken: &'a mut Vec<NotTaken>,
}

impl<'a> Splice<'a> {
    fn file(&mut self, name: &str) -> Result<Vec<Directive>, NginxError> {
        let text = self.files.get(name).copied().unwrap_or_default();
        let name: Arc<str> = name.into();
        let mut directives = parse(Arc::clone(&name), text, &mut self.budget)?;
        self.open.push(name);
        self.expand(&mut directives)?;
        self.open.pop();
        Ok(directives)
    }

    fn expand(&mut self, directives: &mut [Directive]) -> Result<(), NginxError> {
        for directive in directives {
            if directive.is("include") && directive.body == Body::None {
                directive.body = Body::Included(self.included(directive)?);
            } else if let Body::Block(block) = &mut directive.body {
                self.deeper(&directive.place)?;
                self.expand(block)?;
                self.depth -= 1;
            }
        }
        Ok(())
    }

    fn included(&mut self, include: &Directive) -> Result<Vec<Directive>, NginxError> {
        let path = absolute(&self.dump.folder, include.argument(0));
        let mut found = Vec::new();
        for name in self.matching(&path, &include.place)? {
            if self.open.iter().any(|open| **open == *name) {
                return Err(include
                    .place
                    .error(format!("{name} includes itself by way of this line")));
            }
            self.deeper(&include.place)?;
            found.extend(self.file(name)?);
            self.depth -= 1;
        }
        let pattern = path.contains(['*', '?', '[']);
        // In the whole configuration a pattern may match nothing, as an empty conf.d does.
        if found.is_empty() && !(self.dump.whole && (pattern || self.files.contains_key(&*path))) {
            let why = if self.dump.whole {
                "this file is not in the text: let `nginx -T` print it again"
            } else {
                "this is one file alone, and those that it includes are not read: give the output \
                 of `nginx -T`"
            };
            self.not_taken.push(NotTaken::at(&include.place, include.written(), why));
        }
        Ok(found)
    }

    /// The files that `path` names: nginx reads a pattern's files in the order of their names.
    fn matching(&mut self, path: &str, place: &Place) -> Result<Vec<&'a str>, NginxError> {
        if let Some((name, _)) = self.files.get_key_value(path) {
            return Ok(vec![*name]);
        }
        let Ok(pattern) = Pattern::new(path) else { return Ok(Vec::new()) };
        // Many patterns over many files are work, too.
        self.budget.spend(self.names.len() / 16, place)?;
        let matches = |name: &&str| pattern.matches_with(name, OPTIONS);
        Ok(self.names.iter().copied().filter(matches).collect())
    }

    fn deeper(&mut self, place: &Place) -> Result<(), NginxError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            let problem = format!("more than {MOST_DEPTH} blocks and files are inside each other");
            return Err(place.error(problem));
        }
        Ok(())
    }
}

/// `path`, or if it is relative, `path` below `folder`.
pub(super) fn absolute(folder: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}
