//! The course of a message, the same for requests and responses: lines of the head, the body, the
//! chunks, the trailers. A [`Head`] decides the differences.

use super::{
    MessageEvent,
    line::{Budget, Lines, Reading, Section, content, read_field},
};
use crate::{
    fault::{Fault, Malformed},
    fields::Fields,
};

/// The empty lines before one message, in bytes (RFC 9112, 2.2).
const MAX_EMPTY_LINES: usize = 4096;

/// The head of a request or of a response.
pub(super) trait Head {
    /// How lenient forms are read.
    const READING: Reading;

    /// Removes what an earlier message left, and keeps the memory.
    fn clear(&mut self);

    /// Reads the first line.
    fn start_line(&mut self, line: &[u8]) -> Result<(), Fault>;

    /// The header fields.
    fn fields(&mut self) -> &mut Fields;

    /// Decides about the body, when the fields are complete.
    fn framing(&mut self) -> Result<Framing, Malformed>;

    /// Gives memory back: the connection rests.
    fn shrink(&mut self);
}

/// The bytes that follow a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Those of the next message.
    Empty,
    /// A body of this length.
    Length(u64),
    /// Chunks.
    Chunked,
    /// A body that ends with the connection.
    UntilClose,
    /// Those of another protocol.
    Tunnel,
}

/// Reads the messages of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Reader<H> {
    lines: Lines,
    message: Message<H>,
}

/// The message that is being read.
#[derive(Debug)]
struct Message<H> {
    head: H,
    trailers: Fields,
    stage: Stage,
    /// The bytes that the lines of this stage may still have.
    budget: Budget,
    /// The bytes of the empty lines before the message.
    empty_lines: usize,
}

/// The part of a message that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Start,
    Fields,
    Length(u64),
    UntilClose,
    ChunkLine,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// No byte: [`MessageEvent::End`].
    End,
    /// No byte: [`MessageEvent::End`], then a tunnel.
    EndBeforeTunnel,
    Tunnel,
}

impl<H: Default> Default for Message<H> {
    fn default() -> Self {
        Self {
            head: H::default(),
            trailers: Fields::default(),
            stage: Stage::Start,
            budget: Budget::HEAD,
            empty_lines: 0,
        }
    }
}

/// The end of the input, as the stage of the message judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndOfInput {
    /// No message was open.
    Between,
    /// The message is complete.
    Complete,
    /// The message is truncated.
    Truncated,
}

impl<H: Head> Reader<H> {
    /// Consumes bytes from the front of `input`, up to the next event.
    pub(super) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<MessageEvent<'a>>, Malformed> {
        let Self { lines, message } = self;
        loop {
            match message.stage {
                Stage::Start
                | Stage::Fields
                | Stage::ChunkLine
                | Stage::ChunkEnd
                | Stage::Trailers => {
                    let Some(line) = lines.next(input, &mut message.budget)? else {
                        if message.stage == Stage::Start {
                            lines.shrink();
                            message.head.shrink();
                        }
                        return Ok(None);
                    };
                    if let Some(event) = message.take(line)? {
                        return Ok(Some(event));
                    }
                }
                Stage::Length(left) => {
                    let (data, left) = split(input, left);
                    let next = if left == 0 { Stage::End } else { Stage::Length(left) };
                    return Ok(message.give(data, next));
                }
                Stage::ChunkData(left) => {
                    let (data, left) = split(input, left);
                    let next = if left == 0 { Stage::ChunkEnd } else { Stage::ChunkData(left) };
                    return Ok(message.give(data, next));
                }
                Stage::UntilClose => {
                    let (data, _) = split(input, u64::MAX);
                    return Ok(message.give(data, Stage::UntilClose));
                }
                Stage::End => {
                    message.enter(Stage::Start);
                    return Ok(Some(MessageEvent::End));
                }
                Stage::EndBeforeTunnel => {
                    message.enter(Stage::Tunnel);
                    return Ok(Some(MessageEvent::End));
                }
                Stage::Tunnel => return Ok(None),
            }
        }
    }

    /// The peer closed its side.
    pub(super) fn end_of_input(&mut self) -> EndOfInput {
        match self.message.stage {
            Stage::Start if self.lines.is_blank() => EndOfInput::Between,
            Stage::Tunnel => EndOfInput::Between,
            Stage::UntilClose | Stage::End | Stage::EndBeforeTunnel => {
                self.message.enter(Stage::Start);
                EndOfInput::Complete
            }
            Stage::Start
            | Stage::Fields
            | Stage::Length(_)
            | Stage::ChunkLine
            | Stage::ChunkData(_)
            | Stage::ChunkEnd
            | Stage::Trailers => EndOfInput::Truncated,
        }
    }

    /// Whether all bytes of one message were read, and none of the next.
    pub(super) fn is_between_messages(&self) -> bool {
        match self.message.stage {
            Stage::Start => self.lines.is_blank(),
            Stage::End | Stage::EndBeforeTunnel => true,
            Stage::Fields
            | Stage::Length(_)
            | Stage::UntilClose
            | Stage::ChunkLine
            | Stage::ChunkData(_)
            | Stage::ChunkEnd
            | Stage::Trailers
            | Stage::Tunnel => false,
        }
    }

    /// Drops an [`MessageEvent::End`] that the caller did not ask for.
    pub(super) fn skip_end(&mut self) {
        if self.message.stage == Stage::End {
            self.message.enter(Stage::Start);
        }
    }

    pub(super) fn head(&self) -> &H {
        &self.message.head
    }

    pub(super) fn head_mut(&mut self) -> &mut H {
        &mut self.message.head
    }

    pub(super) fn trailers(&self) -> &Fields {
        &self.message.trailers
    }
}

impl<H: Head> Message<H> {
    /// Reads a line, which includes its line end.
    fn take(&mut self, line: &[u8]) -> Result<Option<MessageEvent<'static>>, Malformed> {
        match self.stage {
            Stage::Start => self.start(line)?,
            Stage::Fields => {
                let section = read_field(self.head.fields(), line, H::READING)?;
                if section == Section::Complete {
                    let framing = self.head.framing()?;
                    self.enter(match framing {
                        Framing::Empty | Framing::Length(0) => Stage::End,
                        Framing::Length(length) => Stage::Length(length),
                        Framing::Chunked => Stage::ChunkLine,
                        Framing::UntilClose => Stage::UntilClose,
                        Framing::Tunnel => Stage::EndBeforeTunnel,
                    });
                    return Ok(Some(MessageEvent::Head));
                }
            }
            Stage::ChunkLine => {
                let size =
                    chunk_size(content(line, Reading::Strict)?, H::READING).ok_or(Fault::Chunk)?;
                self.enter(if size == 0 { Stage::Trailers } else { Stage::ChunkData(size) });
            }
            Stage::ChunkEnd if content(line, Reading::Strict)?.is_empty() => {
                self.enter(Stage::ChunkLine)
            }
            Stage::ChunkEnd => return Err(Fault::Chunk.into()),
            Stage::Trailers => {
                let section = read_field(&mut self.trailers, line, H::READING)?;
                if section == Section::Complete {
                    self.enter(Stage::Start);
                    return Ok(Some(MessageEvent::End));
                }
            }
            Stage::Length(_)
            | Stage::UntilClose
            | Stage::ChunkData(_)
            | Stage::End
            | Stage::EndBeforeTunnel
            | Stage::Tunnel => {}
        }
        Ok(None)
    }

    fn start(&mut self, line: &[u8]) -> Result<(), Fault> {
        let text = content(line, H::READING)?;
        if !text.is_empty() {
            self.head.clear();
            self.trailers.clear();
            self.trailers.shrink(0);
            self.head.start_line(text)?;
            self.empty_lines = 0;
            self.stage = Stage::Fields;
            return Ok(());
        }
        self.empty_lines += line.len();
        if self.empty_lines > MAX_EMPTY_LINES {
            return Err(Fault::StartLine);
        }
        self.enter(Stage::Start);
        Ok(())
    }

    /// Gives a part of the body, unless it is empty.
    fn give<'a>(&mut self, data: &'a [u8], next: Stage) -> Option<MessageEvent<'a>> {
        if data.is_empty() {
            return None;
        }
        self.enter(next);
        Some(MessageEvent::Data(data))
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.budget = match stage {
            Stage::ChunkLine => Budget::CHUNK_LINE,
            Stage::ChunkEnd => Budget::CHUNK_END,
            Stage::Start
            | Stage::Fields
            | Stage::Length(_)
            | Stage::UntilClose
            | Stage::ChunkData(_)
            | Stage::Trailers
            | Stage::End
            | Stage::EndBeforeTunnel
            | Stage::Tunnel => Budget::HEAD,
        };
    }
}

/// The size of a chunk (RFC 9112, 7.1). Extensions do not affect it. Some applications pad the size
/// with spaces.
fn chunk_size(line: &[u8], reading: Reading) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    let size = match reading {
        Reading::Strict => size,
        Reading::Lenient => size.trim_ascii_end(),
    };
    if size.is_empty() {
        return None;
    }
    size.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        (number >> 60 == 0).then_some(number << 4 | u64::from(digit))
    })
}

/// Takes up to `left` bytes from the front of `input`: the bytes, and the number still missing.
fn split<'a>(input: &mut &'a [u8], left: u64) -> (&'a [u8], u64) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let (data, rest) = input.split_at(here);
    *input = rest;
    (data, left - here as u64)
}
