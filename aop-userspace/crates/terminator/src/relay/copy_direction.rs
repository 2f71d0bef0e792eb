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
pub(super) struct CopyDirection {
    /// Bytes that the writer has not taken yet, from `start` on.
    unwritten: Vec<u8>,
    start: usize,
    moved: u64,
    flush: Flush,
    passing: EndPassing,
    state: CopyState,
}

/// The side that failed.
pub(super) enum FailedSide {
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
enum EndPassing {
    PassedOn,
    Withheld,
}

enum CopyState {
    Moving,
    /// The reader has ended; the writer's end is under way.
    Ending,
    /// The reader failed; the bytes that were read are flushed first.
    Breaking(io::Error),
    Ended,
}

impl Default for CopyDirection {
    fn default() -> Self {
        Self {
            unwritten: Vec::new(),
            start: 0,
            moved: 0,
            flush: Flush::Done,
            passing: EndPassing::PassedOn,
            state: CopyState::Moving,
        }
    }
}

impl CopyDirection {
    /// Copies bytes. Ready once the reader's end is passed on to the writer, or one side failed.
    /// Do not poll again after that unless [`CopyDirection::end`] was called.
    pub(super) fn poll<R, W>(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<(), FailedSide>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut writer = Pin::new(writer);
        let mut reader = Pin::new(reader);
        loop {
            if self.start < self.unwritten.len() {
                let polled = writer.as_mut().poll_write(context, &self.unwritten[self.start..]);
                self.start += ready!(self.count_write(polled))?;
                continue;
            }
            (self.unwritten, self.start) = (Vec::new(), 0);
            match &self.state {
                CopyState::Moving => {
                    let mut shared = SHARED.take().unwrap_or_else(|| vec![0; BUFFER].into());
                    let mut buffer = ReadBuf::new(&mut shared);
                    let read = reader.as_mut().poll_read(context, &mut buffer);
                    let filled = buffer.filled();
                    let wrote = match filled {
                        [] => Poll::Ready(Ok(0)),
                        bytes => {
                            let polled = writer.as_mut().poll_write(context, bytes);
                            self.count_write(polled)
                        }
                    };
                    let ended = filled.is_empty();
                    let written = match wrote {
                        Poll::Ready(Ok(written)) => written,
                        Poll::Ready(Err(_)) | Poll::Pending => 0,
                    };
                    // Empty unless the writer is slower than the reader.
                    self.unwritten = filled[written..].to_vec();
                    SHARED.set(Some(shared));
                    match (read, wrote) {
                        (Poll::Pending, _) => {
                            ready!(self.poll_flush(context, writer.as_mut()))?;
                            return Poll::Pending;
                        }
                        (Poll::Ready(Err(error)), _) => self.state = CopyState::Breaking(error),
                        (_, Poll::Ready(Err(broken))) => return Poll::Ready(Err(broken)),
                        (Poll::Ready(Ok(())), _) if ended => self.state = CopyState::Ending,
                        (Poll::Ready(Ok(())), _) => {}
                    }
                }
                CopyState::Breaking(_) => {
                    ready!(self.poll_flush(context, writer.as_mut()))?;
                    let CopyState::Breaking(error) =
                        std::mem::replace(&mut self.state, CopyState::Ended)
                    else {
                        continue;
                    };
                    return Poll::Ready(Err(FailedSide::Reader(error)));
                }
                CopyState::Ending => {
                    ready!(self.poll_end(context, writer.as_mut()))?;
                    self.state = CopyState::Ended;
                }
                CopyState::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Treats the reader's failure as an orderly end.
    pub(super) fn end(&mut self) {
        self.state = CopyState::Ending;
    }

    /// From now on the reader's end is not passed on to the writer.
    pub(super) fn withhold_end(&mut self) {
        self.passing = EndPassing::Withheld;
    }

    /// Bytes that the writer took.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.unwritten.len() && self.flush == Flush::Done
    }

    /// Whether the reader's end was passed on.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, CopyState::Ended)
    }

    /// Counts the bytes that the writer took.
    fn count_write(&mut self, polled: Poll<io::Result<usize>>) -> Poll<Result<usize, FailedSide>> {
        match ready!(polled) {
            Ok(0) | Err(_) => Poll::Ready(Err(FailedSide::Writer)),
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
    ) -> Poll<Result<(), FailedSide>> {
        match self.passing {
            EndPassing::PassedOn => writer.poll_shutdown(context).map_err(|_| FailedSide::Writer),
            EndPassing::Withheld => self.poll_flush(context, writer),
        }
    }

    fn poll_flush<W: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        writer: Pin<&mut W>,
    ) -> Poll<Result<(), FailedSide>> {
        if self.flush == Flush::Due {
            if ready!(writer.poll_flush(context)).is_err() {
                return Poll::Ready(Err(FailedSide::Writer));
            }
            self.flush = Flush::Done;
        }
        Poll::Ready(Ok(()))
    }
}
