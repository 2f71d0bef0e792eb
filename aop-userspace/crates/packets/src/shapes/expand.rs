//! The words of a frame. Parts are replaced by their definitions until only [`Op`]s are left.

use std::collections::BTreeMap;

use aop_common::AddressFamily;

use super::words::{self, Role};

/// A frame is a sequence of these.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Bytes(Vec<u8>),
    Port(Port),
    Address(Role, AddressFamily, Piece),
    /// The address of the sender.
    Source,
    /// The length field of the last IP header.
    Length,
    /// A checksum, right or spoilt.
    Sum(Sum, Spoilt),
    /// An IP header begins.
    Ip(AddressFamily),
    /// A header ends.
    Bar,
    /// The packet ends; padding follows.
    End,
}

/// A port of the scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Port {
    Guarded,
    Unguarded,
}

/// A piece of an address, or an address by a prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece {
    Whole,
    /// The first four bytes.
    Head,
    First,
    Last,
    Below,
    Above,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sum {
    /// The checksum of the IPv4 header.
    Header,
    /// The checksum of a transport header, with the pseudo-header of this protocol.
    Transport(u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spoilt {
    No,
    Yes,
}

/// Parts by their name and family; `None` for a part of either family.
#[derive(Default)]
pub(super) struct Parts(BTreeMap<(String, Option<AddressFamily>), String>);

/// How often a word may be repeated. No frame is so long.
const MOST: usize = 9999;

type Arguments = BTreeMap<String, Vec<Op>>;

impl Parts {
    /// Parses `v4 ip = …`.
    pub(super) fn define(&mut self, text: &str) -> Result<(), String> {
        let (head, body) = text.split_once(" = ").ok_or("no `part FAMILY NAME = …`")?;
        let (family, name) = head.split_once(' ').ok_or("no `part FAMILY NAME = …`")?;
        let family = match family {
            "any" => None,
            family => {
                Some(words::family(family).ok_or_else(|| format!("{family:?} is no family"))?)
            }
        };
        let letters = name.bytes().all(|byte| byte.is_ascii_lowercase());
        if name.is_empty() || !letters || name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!(
                "{name:?}: a name is small letters that are no hexadecimal number"
            ));
        }
        for family in family.map_or(AddressFamily::BOTH.to_vec(), |family| [family].to_vec()) {
            self.expand(body, Some(family))?;
        }
        let key = (name.to_owned(), family);
        if self.0.insert(key, body.to_owned()).is_some() {
            return Err(format!("the part {name} has been there before"));
        }
        Ok(())
    }

    /// Parses the words of a frame of `family`.
    pub(super) fn expand(
        &self,
        text: &str,
        family: Option<AddressFamily>,
    ) -> Result<Vec<Op>, String> {
        self.words(text, family, &Arguments::new())
    }

    fn words(
        &self,
        text: &str,
        family: Option<AddressFamily>,
        arguments: &Arguments,
    ) -> Result<Vec<Op>, String> {
        let mut ops = Vec::new();
        for word in split(text) {
            let (word, count) = repeated(word)?;
            let once = match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                Some(open) => {
                    let (name, default) = open.split_once('=').ok_or("no `{NAME=DEFAULT}`")?;
                    match arguments.get(name) {
                        Some(given) => given.clone(),
                        None => value(default, family)?,
                    }
                }
                None => match simple(word, family)? {
                    Some(op) => [op].to_vec(),
                    None => self.part(word, family)?,
                },
            };
            for _ in 0..count {
                ops.extend_from_slice(&once);
            }
        }
        Ok(ops)
    }

    /// Parses `ip`, `ip.v4` or `ip(first=46 next=11)`.
    fn part(&self, word: &str, family: Option<AddressFamily>) -> Result<Vec<Op>, String> {
        let (head, arguments) = match word.split_once('(') {
            Some((head, rest)) => (head, rest.strip_suffix(')').ok_or("a `(` without its `)`")?),
            None => (word, ""),
        };
        let (name, inside) = match head.split_once('.') {
            Some((name, other)) => {
                let other =
                    words::family(other).ok_or_else(|| format!("{other:?} is no family"))?;
                (name, Some(other))
            }
            None => (head, family),
        };
        let body = |family| self.0.get(&(name.to_owned(), family));
        let body = body(inside).or_else(|| body(None));
        let body = body.ok_or_else(|| format!("there is no part {head} here"))?;
        let mut given = Arguments::new();
        for argument in arguments.split_whitespace() {
            let (field, text) = argument.split_once('=').ok_or("no `FIELD=VALUE`")?;
            if !body.contains(&format!("{{{field}=")) {
                return Err(format!("the part {name} has no field {field}"));
            }
            given.insert(field.to_owned(), value(text, family)?);
        }
        self.words(body, inside, &given)
    }
}

/// Splits at white space that is not inside parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let words = text.split(move |letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter.is_whitespace() && depth == 0
    });
    words.filter(|word| !word.is_empty())
}

/// Parses `00*12`. A `*` inside parentheses does not count.
fn repeated(word: &str) -> Result<(&str, usize), String> {
    match word.rsplit_once('*').filter(|(_, count)| !count.ends_with(')')) {
        None => Ok((word, 1)),
        Some((word, text)) => match text.parse() {
            Ok(count @ 2..=MOST) => Ok((word, count)),
            Ok(_) | Err(_) => Err(format!("{text:?} is no number of times from 2 to {MOST}")),
        },
    }
}

/// Parses `00*12,$admitted.v4`.
fn value(text: &str, family: Option<AddressFamily>) -> Result<Vec<Op>, String> {
    let mut ops = Vec::new();
    for word in text.split(',') {
        let (word, count) = repeated(word)?;
        let op = simple(word, family)?.ok_or_else(|| format!("{word:?} is no value"))?;
        for _ in 0..count {
            ops.push(op.clone());
        }
    }
    Ok(ops)
}

/// Parses a word that is no part: a mark, a field of the scene, or bytes.
fn simple(word: &str, family: Option<AddressFamily>) -> Result<Option<Op>, String> {
    let here = || family.ok_or("a frame of no family: name one, as in `$stranger.v4`");
    if let Some(field) = word.strip_prefix('$') {
        return self::field(field, family).map(Some);
    }
    match word {
        "|" => return Ok(Some(Op::Bar)),
        "/" => return Ok(Some(Op::End)),
        "@ip" => return Ok(Some(Op::Ip(here()?))),
        _ => {}
    }
    let digits: Option<Vec<u8>> =
        word.chars().map(|letter| Some(letter.to_digit(16)? as u8)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 && !digits.is_empty() => {
            Ok(Some(Op::Bytes(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())))
        }
        Some(_) => Err(format!("{word:?} is half a byte")),
        None => Ok(None),
    }
}

/// Parses what follows a `$`.
fn field(text: &str, family: Option<AddressFamily>) -> Result<Op, String> {
    const TCP: Sum = Sum::Transport(6);
    const UDP: Sum = Sum::Transport(17);
    match text {
        "guarded" => return Ok(Op::Port(Port::Guarded)),
        "unguarded" => return Ok(Op::Port(Port::Unguarded)),
        "source" => return Ok(Op::Source),
        "length" => return Ok(Op::Length),
        "ipsum" => return Ok(Op::Sum(Sum::Header, Spoilt::No)),
        "ipsum.bad" => return Ok(Op::Sum(Sum::Header, Spoilt::Yes)),
        "tcpsum" => return Ok(Op::Sum(TCP, Spoilt::No)),
        "tcpsum.bad" => return Ok(Op::Sum(TCP, Spoilt::Yes)),
        "udpsum" => return Ok(Op::Sum(UDP, Spoilt::No)),
        _ => {}
    }
    let mut words = text.split('.');
    let role = Role::of(words.next().unwrap_or_default())?;
    let (mut family, mut piece) = (family, None);
    for word in words {
        match words::family(word) {
            Some(other) => family = Some(other),
            None => piece = Some(self::piece(word)?),
        }
    }
    let family = family.ok_or_else(|| format!("${text} of which family?"))?;
    let of_prefix = !matches!(piece, None | Some(Piece::Head));
    if of_prefix != (role == Role::Admitting) {
        return Err(format!("${text}: `first`, `last`, `below` and `above` are of `admitting`"));
    }
    Ok(Op::Address(role, family, piece.unwrap_or(Piece::Whole)))
}

fn piece(word: &str) -> Result<Piece, String> {
    Ok(match word {
        "head" => Piece::Head,
        "first" => Piece::First,
        "last" => Piece::Last,
        "below" => Piece::Below,
        "above" => Piece::Above,
        _ => return Err(format!("{word:?} is no piece of an address")),
    })
}
