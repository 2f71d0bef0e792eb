//! The directives of a file, with their blocks.

use std::sync::Arc;

use super::{
    MOST_DEPTH, MOST_WORDS, NginxError, Place, lua,
    tokens::{Scanner, Token, Word},
};

/// A directive, as `listen 443 ssl;` or `server { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) place: Place,
    pub(super) name: Word,
    pub(super) arguments: Vec<Word>,
    pub(super) body: Body,
}

/// The end of a directive, behind its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A semicolon.
    None,
    /// A block of directives.
    Block(Vec<Directive>),
    /// A block of Lua.
    Lua(Box<str>),
    /// A semicolon; the directive is an `include`, and these are the directives of its files.
    Included(Vec<Directive>),
}

impl Directive {
    pub(super) fn is(&self, name: &str) -> bool {
        &*self.name.text == name
    }

    /// The meaning of the argument at `index`; empty if there is none.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", |word| &word.text)
    }

    /// The meanings of all words.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.arguments).map(|word| &*word.text)
    }

    /// The directive as it is written, without its block.
    pub(super) fn written(&self) -> String {
        let words = std::iter::once(&self.name).chain(&self.arguments);
        words.map(Word::written).collect::<Vec<_>>().join(" ")
    }

    /// The directives in its block; those of included files stand in their place.
    pub(super) fn inside(&self) -> Vec<&Directive> {
        match &self.body {
            Body::Block(block) => flat(block),
            Body::None | Body::Lua(_) | Body::Included(_) => Vec::new(),
        }
    }

    /// The directive and everything in it, at any depth.
    pub(super) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Directive)) {
        see(self);
        match &self.body {
            Body::Block(block) | Body::Included(block) => {
                block.iter().for_each(|directive| directive.visit(see));
            }
            Body::None | Body::Lua(_) => {}
        }
    }
}

/// `directives`, where those of included files stand in place of their `include`.
pub(super) fn flat(directives: &[Directive]) -> Vec<&Directive> {
    let mut found = Vec::new();
    for directive in directives {
        match &directive.body {
            Body::Included(files) => found.extend(flat(files)),
            Body::None | Body::Block(_) | Body::Lua(_) => found.push(directive),
        }
    }
    found
}

/// The number of words that may still be read.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MOST_WORDS)
    }

    pub(super) fn spend(&mut self, words: usize, place: &Place) -> Result<(), NginxError> {
        match self.0.checked_sub(words) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(place.error(format!(
                "there are more than {MOST_WORDS} words up to here: give only the files that matter"
            ))),
        }
    }
}

/// Reads a file.
pub(super) fn parse(
    file: Arc<str>,
    text: &str,
    budget: &mut Budget,
) -> Result<Vec<Directive>, NginxError> {
    Parser { scanner: Scanner::new(file, text), budget }.block(None, 0)
}

struct Parser<'a, 'b> {
    scanner: Scanner<'a>,
    budget: &'b mut Budget,
}

impl Parser<'_, '_> {
    /// The directives up to the brace that closes the block of `open`, or to the end of the file.
    fn block(&mut self, open: Option<&Place>, depth: usize) -> Result<Vec<Directive>, NginxError> {
        let mut found = Vec::new();
        loop {
            let (token, line) = self.scanner.next()?;
            let place = Place { line, ..self.scanner.place() };
            match (token, open) {
                (Token::Word(name), _) => found.push(self.directive(name, place, depth)?),
                (Token::End, None) | (Token::Close, Some(_)) => return Ok(found),
                (Token::End, Some(open)) => {
                    return Err(
                        open.error("the block that begins here is not closed: is the text cut?")
                    );
                }
                (Token::Close, None) => return Err(place.error("a \"}\" closes nothing")),
                (Token::Semicolon, _) => return Err(place.error("a \";\" ends nothing")),
                (Token::Open, _) => return Err(place.error("a \"{\" has no name before it")),
            }
        }
    }

    fn directive(
        &mut self,
        name: Word,
        place: Place,
        depth: usize,
    ) -> Result<Directive, NginxError> {
        self.budget.spend(1, &place)?;
        let mut arguments = Vec::new();
        let cut =
            || place.error(format!("{:?} does not end with \";\": is the text cut?", name.text));
        let body = loop {
            match self.scanner.next()?.0 {
                Token::Word(word) => {
                    self.budget.spend(1, &place)?;
                    arguments.push(word);
                }
                Token::Semicolon => break Body::None,
                Token::Open if lua::is_lua(&name.text) => {
                    break Body::Lua(lua::block(&mut self.scanner)?);
                }
                Token::Open if depth == MOST_DEPTH => {
                    let problem = format!("more than {MOST_DEPTH} blocks are inside each other");
                    return Err(place.error(problem));
                }
                Token::Open => break Body::Block(self.block(Some(&place), depth + 1)?),
                Token::Close | Token::End => return Err(cut()),
            }
        };
        Ok(Directive { place, name, arguments, body })
    }
}
