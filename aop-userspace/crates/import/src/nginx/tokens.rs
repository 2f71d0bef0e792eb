//! The words of a file, by the rules of nginx's `ngx_conf_read_token`.

use std::sync::Arc;

use super::{NginxError, Place};

/// A part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    Semicolon,
    Open,
    Close,
    End,
}

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Its meaning: without quotes and escapes.
    pub(super) text: Box<str>,
    /// How it is written, if that differs.
    written: Option<Box<str>>,
}

impl Word {
    fn new(text: String, written: &str) -> Self {
        let written = (text != written).then(|| written.into());
        Self { text: text.into(), written }
    }

    /// How it is written in the file.
    pub(super) fn written(&self) -> &str {
        self.written.as_ref().unwrap_or(&self.text)
    }
}

/// Reads a text from its begin to its end.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) line: u32,
    file: Arc<str>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(file: Arc<str>, text: &'a str) -> Self {
        // nginx refuses a byte order mark; an editor that writes one should not matter here.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, line: 1, file }
    }

    /// The line that is being read.
    pub(super) fn place(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: self.line }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes one byte on.
    pub(super) fn bump(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    /// The next part, and the line where it begins.
    pub(super) fn next(&mut self) -> Result<(Token, u32), NginxError> {
        self.skip_blanks();
        let line = self.line;
        let token = match self.peek() {
            None => return Ok((Token::End, line)),
            Some(b';') => Token::Semicolon,
            Some(b'{') => Token::Open,
            Some(b'}') => Token::Close,
            Some(quote @ (b'"' | b'\'')) => return Ok((Token::Word(self.quoted(quote)?), line)),
            Some(_) => return Ok((Token::Word(self.plain()), line)),
        };
        self.bump();
        Ok((token, line))
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.bump();
                    }
                }
                _ if is_blank(byte) => self.bump(),
                _ => return,
            }
        }
    }

    /// A word in quotes: all up to the same quote, which a backslash may protect.
    fn quoted(&mut self, quote: u8) -> Result<Word, NginxError> {
        let (from, begin) = (self.at, self.place());
        self.bump();
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.skip_pair(),
                _ if byte == quote => {
                    let inside = &self.text[from + 1..self.at];
                    self.bump();
                    let ends = |byte| is_blank(byte) || b";{)".contains(&byte);
                    if !self.peek().is_none_or(ends) {
                        return Err(self.place().error("a blank or \";\" must follow the quote"));
                    }
                    return Ok(Word::new(unescaped(inside), &self.text[from..self.at]));
                }
                _ => self.bump(),
            }
        }
        Err(begin.error("the quote that begins here is not closed: is the text cut?"))
    }

    /// A word without quotes. A brace after `$` belongs to it, as in `${name}`.
    fn plain(&mut self) -> Word {
        let from = self.at;
        let mut variable = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => {
                    self.skip_pair();
                    variable = false;
                    continue;
                }
                b'{' if variable => {}
                b';' | b'{' => break,
                _ if is_blank(byte) => break,
                _ => variable = byte == b'$',
            }
            self.bump();
        }
        let written = &self.text[from..self.at];
        Word::new(unescaped(written), written)
    }

    /// A backslash and the character that it protects.
    fn skip_pair(&mut self) {
        self.bump();
        if let Some(letter) = self.text[self.at..].chars().next() {
            (0..letter.len_utf8()).for_each(|_| self.bump());
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// nginx takes the backslash away from a quote and from another backslash, and knows `\t`, `\r` and
/// `\n`. Before any other letter it stays, so that regular expressions can be written.
fn unescaped(written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    let mut letters = written.chars().peekable();
    while let Some(letter) = letters.next() {
        let plain = match (letter, letters.peek()) {
            ('\\', Some(quoted @ ('"' | '\'' | '\\'))) => Some(*quoted),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        text.push(plain.unwrap_or(letter));
        if plain.is_some() {
            letters.next();
        }
    }
    text
}
