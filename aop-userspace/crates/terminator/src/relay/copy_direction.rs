//! One direction of a relay: reads, writes, and passes the end on.
//!
//! An idle direction owns no buffer. Reads go through a buffer that all relays of a thread share;
//! only bytes that the writer does not take at once are kept.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The plaintext of four TLS records: the most that rustls encrypts in one write.
const BUFFER: usize = 64 * 1024;

thread_local! {
    /// Taken for a read and the write that follows, then put back.
    static SHARED: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Bytes on their way from a reader to a writer.
pub(super) struct Flow {
    /// Bytes that the writer has not taken yet, from `start` on.
    rest: Vec<u8>,
    start: usize,
    moved: u64,
    flush: Flush,
    passing: Passing,
    stage: Stage,
}

/// The side that failed.
pub(super) enum Broken {
    Reader(io::Error),
    Writer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Due,
    Done,
}

/// Whether the reader's end is passed on to the writer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passing {
    PassedOn,
    Withheld,
}

enum Stage {
    Moving,
    /// The reader has ended; the writer's end is under way.
    Ending,
    /// The reader failed; the bytes that were read are flushed first.
    Breaking(io::Error),
    Ended,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            rest: Vec::new(),
            start: 0,
            moved: 0,
            flush: Flush::Done,
            passing: Passing::PassedOn,
            stage: Stage::Moving,
        }
    }
}

impl Flow {
    /// Copies bytes. Ready once the reader's end is passed on to the writer, or one side failed.
    /// Do not poll again after that unless [`Flow::end`] was called.
    pub(super) fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut writer = Pin::new(writer);
        let mut reader = Pin::new(reader);
        loop {
            if self.start < self.rest.len() {
                let polled = writer.as_mut().poll_write(context, &self.rest[self.start..]);
                self.start += ready!(self.took(polled))?;
                continue;
            }
            (self.rest, self.start) = (Vec::new(), 0);
            match &self.stage {
                Stage::Moving => {
                    let mut shared = SHARED.take().unwrap_or_else(|| vec![0; BUFFER].into());
                    let mut buffer = ReadBuf::new(&mut shared);
                    let read = reader.as_mut().poll_read(context, &mut buffer);
                    let filled = buffer.filled();
                    let wrote = match filled {
                        [] => Poll::Ready(Ok(0)),
                        bytes => {
                            let polled = writer.as_mut().poll_write(context, bytes);
                            self.took(polled)
                        }
                    };
                    let ended = filled.is_empty();
                    let written = match wrote {
                        Poll::Ready(Ok(written)) => written,
                        Poll::Ready(Err(_)) | Poll::Pending => 0,
                    };
                    // Empty unless the writer is slower than the reader.
                    self.rest = filled[written..].to_vec();
                    SHARED.set(Some(shared));
                    match (read, wrote) {
                        (Poll::Pending, _) => {
                            ready!(self.poll_flush(context, writer.as_mut()))?;
                            return Poll::Pending;
                        }
                        (Poll::Ready(Err(error)), _) => self.stage = Stage::Breaking(error),
                        (_, Poll::Ready(Err(broken))) => return Poll::Ready(Err(broken)),
                        (Poll::Ready(Ok(())), _) if ended => self.stage = Stage::Ending,
                        (Poll::Ready(Ok(())), _) => {}
                    }
                }
                Stage::Breaking(_) => {
                    ready!(self.poll_flush(context, writer.as_mut()))?;
                    let Stage::Breaking(error) = std::mem::replace(&mut self.stage, Stage::Ended)
                    else {
                        continue;
                    };
                    return Poll::Ready(Err(Broken::Reader(error)));
                }
                Stage::Ending => {
                    ready!(self.poll_end(context, writer.as_mut()))?;
                    self.stage = Stage::Ended;
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Treats the reader's failure as an orderly end.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Ending;
    }

    /// From now on the reader's end is not passed on to the writer.
    pub(super) fn withhold_end(&mut self) {
        self.passing = Passing::Withheld;
    }

    /// Bytes that the writer took.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.rest.len() && self.flush == Flush::Done
    }

    /// Whether the reader's end was passed on.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Counts the bytes that the writer took.
    fn took(&mut self, polled: Poll<io::Result<usize>>) -> Poll<Result<usize, Broken>> {
        match ready!(polled) {
            Ok(0) | Err(_) => Poll::Ready(Err(Broken::Writer)),
            Ok(written) => {
                self.moved += written as u64;
                self.flush = Flush::Due;
                Poll::Ready(Ok(written))
            }
        }
    }

    fn poll_end<W: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        writer: Pin<&mut W>,
    ) -> Poll<Result<(), Broken>> {
        match self.passing {
            Passing::PassedOn => writer.poll_shutdown(context).map_err(|_| Broken::Writer),
            Passing::Withheld => self.poll_flush(context, writer),
        }
    }

    fn poll_flush<W: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        writer: Pin<&mut W>,
    ) -> Poll<Result<(), Broken>> {
        if self.flush == Flush::Due {
            if ready!(writer.poll_flush(context)).is_err() {
                return Poll::Ready(Err(Broken::Writer));
            }
            self.flush = Flush::Done;
        }
        Poll::Ready(Ok(()))
    }
}
