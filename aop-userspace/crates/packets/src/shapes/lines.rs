//! The lines of a data file.

use std::collections::BTreeSet;

use aop_common::AddressFamily;

use super::{
    BadShape, Fixture, Rule, Scene, Sender, Verdict,
    expand::{Op, Parts},
    render::{needs, render},
    words,
};

/// The parts and shapes of all files.
#[derive(Default)]
pub(super) struct Table {
    parts: Parts,
    shapes: Vec<Shape>,
}

/// A line for one family: a shape, and the verdicts that it must get.
struct Shape {
    file: String,
    line: usize,
    group: String,
    family: Option<AddressFamily>,
    name: String,
    frame: Vec<Op>,
    cut: Option<usize>,
    expected: Vec<Expected>,
}

#[derive(Clone)]
struct Expected {
    sender: Sender,
    verdict: Verdict,
    under: Vec<(Rule, Verdict)>,
}

/// The settings of earlier lines of the file for the shapes that follow.
#[derive(Default)]
struct Heading {
    group: Option<String>,
    expected: Vec<Expected>,
    /// Whether a shape has followed: then the next `expect` begins anew.
    used: bool,
}

impl Table {
    pub(super) fn read(&mut self, file: &str, text: &str) -> Result<(), BadShape> {
        let mut heading = Heading::default();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                self.line((file, line), text, &mut heading)
                    .map_err(|why| BadShape::new(file, line, why))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, at: (&str, usize), text: &str, heading: &mut Heading) -> Result<(), String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let families: &[Option<AddressFamily>] = match word {
            "part" => return self.parts.define(rest),
            "group" if !rest.is_empty() => {
                heading.group = Some(rest.to_owned());
                return Ok(());
            }
            "expect" => {
                if heading.used {
                    *heading = Heading { group: heading.group.take(), ..Heading::default() };
                }
                heading.expected.push(expected(rest)?);
                return Ok(());
            }
            "v4" => &[Some(AddressFamily::V4)],
            "v6" => &[Some(AddressFamily::V6)],
            "both" => &AddressFamily::BOTH.map(Some),
            "any" => &[None],
            _ => return Err(format!("{word:?} begins no line")),
        };
        heading.used = true;
        for family in families {
            let shape = self.shape(at, *family, rest, heading)?;
            self.shapes.push(shape);
        }
        Ok(())
    }

    fn shape(
        &self,
        (file, line): (&str, usize),
        family: Option<AddressFamily>,
        text: &str,
        heading: &Heading,
    ) -> Result<Shape, String> {
        let group = heading.group.clone().ok_or("a shape before the first group")?;
        if heading.expected.is_empty() {
            return Err("no `expect` stands before it".to_owned());
        }
        for expected in &heading.expected {
            if family.is_none() != (expected.sender == Sender::Anyone) {
                return Err("`any` goes with `expect anyone`, and with no other sender".to_owned());
            }
        }
        let (name, frame) = text.split_once(": ").ok_or("no `NAME: FRAME`")?;
        let (frame, cut) = match frame.rsplit_once(" cut ") {
            Some((frame, cut)) => {
                let cut = cut.parse().map_err(|_| format!("{cut:?} is no number of bytes"))?;
                (frame, Some(cut))
            }
            None => (frame, None),
        };
        Ok(Shape {
            file: file.to_owned(),
            line,
            group,
            family,
            name: name.to_owned(),
            frame: self.parts.expand(frame, family)?,
            cut,
            expected: heading.expected.clone(),
        })
    }

    pub(super) fn fixtures(&self, scene: &Scene) -> Result<Vec<Fixture>, BadShape> {
        let mut names = BTreeSet::new();
        let mut fixtures = Vec::new();
        for shape in &self.shapes {
            for expected in &shape.expected {
                let fixture = shape
                    .fixture(expected, scene)
                    .map_err(|why| BadShape::new(&shape.file, shape.line, why))?;
                if !names.insert(fixture.name.clone()) {
                    let why = format!("{:?} has been there before", fixture.name);
                    return Err(BadShape::new(&shape.file, shape.line, why));
                }
                fixtures.push(fixture);
            }
        }
        Ok(fixtures)
    }
}

impl Shape {
    fn fixture(&self, expected: &Expected, scene: &Scene) -> Result<Fixture, String> {
        let mut frame = render(&self.frame, scene, expected.sender, self.family)?;
        if let Some(length) = self.cut {
            if length >= frame.len() {
                return Err(format!("cut {length} of {} bytes", frame.len()));
            }
            frame.truncate(length);
        }
        let name = match self.family {
            Some(family) => format!("{} {}: {}", family.name(), expected.sender.name(), self.name),
            None => self.name.clone(),
        };
        Ok(Fixture {
            group: self.group.clone(),
            name,
            place: format!("{}:{}", self.file, self.line),
            sender: expected.sender,
            family: self.family,
            needs: needs(&self.frame, expected.sender, self.family),
            frame,
            verdict: expected.verdict,
            under: expected.under.clone(),
        })
    }
}

/// Parses `stranger drop unknown_source, if probation pass probation`.
fn expected(text: &str) -> Result<Expected, String> {
    let mut clauses = text.split(", ");
    let first = clauses.next().unwrap_or_default();
    let (sender, verdict) = first.split_once(' ').ok_or("no `expect SENDER VERDICT`")?;
    let under = clauses.map(|clause| {
        let clause = clause.strip_prefix("if ").ok_or("no `if RULE VERDICT` behind the comma")?;
        let (rule, verdict) = clause.split_once(' ').ok_or("no `if RULE VERDICT`")?;
        Ok((Rule::of(rule)?, words::verdict(verdict)?))
    });
    let under = under.collect::<Result<_, String>>().map_err(|why| why.to_string())?;
    Ok(Expected { sender: Sender::of(sender)?, verdict: words::verdict(verdict)?, under })
}
