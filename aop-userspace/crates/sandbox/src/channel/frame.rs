//! One message on the wire: its length in four bytes, big endian, then that many bytes of JSON.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The longest message, in bytes. The files of a thousand sites take a tenth of it, a hundred
/// thousand prefixes a twentieth, a revocation list of a hundred thousand certificates a tenth.
pub const MAX_LENGTH: usize = 64 * 1024 * 1024;
/// The most values in an answer. In memory a value takes 32 bytes, in a message perhaps two.
const MAX_VALUES: usize = 4 << 20;
const HEAD: usize = size_of::<u32>();
/// SCM_MAX_FD: the kernel's limit of descriptors per message.
const MAX_FILES: usize = 253;

/// A message that could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The far end has closed the channel, or the system reports an error.
    #[error("the channel failed: {0}")]
    Io(#[from] io::Error),
    /// It is not a message of this version.
    #[error("a message is not valid: {0}")]
    Invalid(#[from] serde_json::Error),
    /// It is longer than any valid message.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// It would take too much memory.
    #[error("a message of more than {MAX_VALUES} values is too long")]
    TooManyValues,
    /// The far end closed the channel instead of sending a message.
    #[error("the far end closed the channel")]
    Closed,
}

/// A message as it goes over the wire.
pub struct Message {
    head: [u8; HEAD],
    body: Zeroizing<Vec<u8>>,
}

impl Message {
    /// The message that holds `document`.
    ///
    /// # Errors
    /// It cannot be written as JSON, or is too long.
    pub fn new(document: &impl Serialize) -> Result<Self, ChannelError> {
        Self::of(document, Vec::new())
    }

    /// The message that holds `document`, which has secrets: no copy of them stays in memory.
    ///
    /// # Errors
    /// As [`Message::new`].
    pub fn secret(document: &impl Serialize) -> Result<Self, ChannelError> {
        // A buffer that grew would leave its earlier, smaller self behind.
        let length = encoded_len(document);
        if length > MAX_LENGTH {
            return Err(ChannelError::TooLong(length));
        }
        Self::of(document, Vec::with_capacity(length))
    }

    fn of(document: &impl Serialize, buffer: Vec<u8>) -> Result<Self, ChannelError> {
        let mut body = Zeroizing::new(buffer);
        serde_json::to_writer(&mut *body, document)?;
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_LENGTH);
        let head = length.ok_or(ChannelError::TooLong(body.len()))?.to_be_bytes();
        Ok(Self { head, body })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a message of {} bytes", self.body.len())
    }
}

/// The number of bytes that `document` takes in a message; as many as possible if it cannot be
/// written as JSON.
#[must_use]
pub fn encoded_len(document: &impl Serialize) -> usize {
    let mut counter = ByteCounter(0);
    serde_json::to_writer(&mut counter, document).map_or(usize::MAX, |()| counter.0)
}

/// Sends `message`, and `files` with it. Blocks while the far end does not read.
///
/// # Errors
/// The far end has closed the channel, the system reports an error, or `files` are too many.
pub fn send(socket: &UnixStream, message: &Message, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let Message { head, body } = message;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The kernel takes all four bytes or none.
    let sent = sendmsg(socket, &[IoSlice::new(head)], &mut control, SendFlags::NOSIGNAL)?;
    (&*socket).write_all(&head[sent..])?;
    (&*socket).write_all(body)
}

/// Receives the next message; `None` if the far end closed the channel before it. Descriptors that
/// come with it are closed.
///
/// # Errors
/// The channel fails, or it is not a message of this type.
pub fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> Result<Option<T>, ChannelError> {
    let mut head = [0; HEAD];
    let got = loop {
        match socket.read(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            got => break got?,
        }
    };
    if got == 0 {
        return Ok(None);
    }
    socket.read_exact(&mut head[got..])?;
    let text = Zeroizing::new(read_text(socket, head, MAX_LENGTH)?);
    if values(&text) > MAX_VALUES {
        return Err(ChannelError::TooManyValues);
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// The most values that a JSON text can have: each follows one of these bytes, or is the first.
fn values(text: &[u8]) -> usize {
    text.iter().filter(|byte| b",:[{".contains(byte)).count() + 1
}

/// Receives the next message with its descriptors; `None` if the far end closed the channel before
/// it.
///
/// # Errors
/// As [`receive`]; also if not every descriptor arrived.
pub fn receive_with_files<T: DeserializeOwned>(
    mut socket: &UnixStream,
) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
    let mut head = [0; HEAD];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = {
        let mut into = [IoSliceMut::new(&mut head)];
        rustix::io::retry_on_intr(|| {
            recvmsg(socket.as_fd(), &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
        })
    };
    let got = got.map_err(io::Error::from)?;
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("not every file descriptor arrived").into());
    }
    socket.read_exact(&mut head[got.bytes..])?;
    Ok(Some((read_body(socket, head, MAX_LENGTH)?, files)))
}

/// Receives a message of at most `longest` bytes, which must arrive as a whole within `timeout`.
///
/// # Errors
/// The message is late, the channel fails, or it is not a message of this type and length.
pub fn receive_until<T: DeserializeOwned>(
    socket: &UnixStream,
    longest: usize,
    timeout: Duration,
) -> Result<T, ChannelError> {
    let mut reader = DeadlineReader { socket, deadline: Instant::now() + timeout };
    let mut head = [0; HEAD];
    reader.read_exact(&mut head)?;
    read_body(reader, head, longest)
}

fn read_body<T: DeserializeOwned>(
    from: impl Read,
    head: [u8; HEAD],
    longest: usize,
) -> Result<T, ChannelError> {
    Ok(serde_json::from_slice(&read_text(from, head, longest)?)?)
}

fn read_text(from: impl Read, head: [u8; HEAD], longest: usize) -> Result<Vec<u8>, ChannelError> {
    let length = u32::from_be_bytes(head) as usize;
    if length > longest {
        return Err(ChannelError::TooLong(length));
    }
    // Grows with the bytes that arrive, not with the announced length.
    let mut text = Vec::new();
    from.take(length as u64).read_to_end(&mut text)?;
    if text.len() < length {
        return Err(ChannelError::Closed);
    }
    Ok(text)
}

/// Counts the bytes that are written.
struct ByteCounter(usize);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that is read until a deadline, however slowly the far end writes.
struct DeadlineReader<'a> {
    socket: &'a UnixStream,
    deadline: Instant,
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        match self.socket.read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, net::TcpListener, thread};

    use super::*;

    fn send_text(socket: &UnixStream, text: &str, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(socket, &Message::new(&text).expect("a message"), files)
    }

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("a pair")
    }

    #[test]
    fn messages_and_descriptors_arrive_in_order_and_then_the_end() {
        let (here, there) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        send_text(&here, "first", &[]).expect("sent");
        send_text(&here, "second", &[listener.as_fd()]).expect("sent");
        drop((listener, here));
        let (first, none): (String, _) =
            receive_with_files(&there).expect("received").expect("a message");
        assert_eq!((first.as_str(), none.len()), ("first", 0));
        let (second, mut files): (String, _) =
            receive_with_files(&there).expect("received").expect("a message");
        let received = TcpListener::from(files.pop().expect("a file"));
        assert_eq!((second.as_str(), files.len()), ("second", 0));
        assert_eq!(received.local_addr().expect("an address"), address);
        assert!(receive_with_files::<String>(&there).expect("the end").is_none());
    }

    #[test]
    fn the_length_of_a_message_is_known_before_it_is_made() {
        let document = ["a\"\n\u{1}\u{e4}", &"x".repeat(1000)];
        let message = Message::new(&document).expect("a message");
        assert_eq!(encoded_len(&document), message.body.len());
    }

    #[test]
    fn a_message_with_secrets_is_never_copied_and_never_shown() {
        let document = vec!["secret"; 1000];
        let message = Message::secret(&document).expect("a message");
        assert_eq!(message.body.len(), message.body.capacity());
        assert_eq!(*message.body, *Message::new(&document).expect("the same").body);
        assert_eq!(format!("{message:?}"), format!("a message of {} bytes", message.body.len()));
        let long = "x".repeat(MAX_LENGTH);
        assert!(matches!(Message::secret(&long), Err(ChannelError::TooLong(_))));
    }

    #[test]
    fn a_message_longer_than_the_socket_buffer_arrives_whole() {
        let (here, there) = pair();
        let long = "x".repeat(3_000_000);
        thread::scope(|scope| {
            scope.spawn(|| send_text(&here, &long, &[]).expect("sent"));
            assert_eq!(receive::<String>(&there).expect("received").expect("a message"), long);
        });
    }

    #[test]
    fn a_descriptor_that_was_not_asked_for_is_closed() {
        let (here, there) = pair();
        let (watched, sent) = pair();
        send_text(&here, "take this", &[sent.as_fd()]).expect("sent");
        drop(sent);
        receive::<String>(&there).expect("received");
        // The other end of that socket sees that it is closed.
        assert_eq!((&watched).read(&mut [0]).expect("the end"), 0);
    }

    #[test]
    fn a_truncated_oversized_or_invalid_message_is_refused() {
        for (bytes, text) in [
            (&b"\xff\xff\xff\xff"[..], "too long"),
            (b"\0\0\0\x04nope", "not valid"),
            (b"\0\0\0\x09\"cut", "closed"),
            (b"\0\0", "failed"),
        ] {
            let (here, there) = pair();
            (&here).write_all(bytes).expect("written");
            drop(here);
            let error = receive::<String>(&there).expect_err("refused").to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn an_answer_of_very_many_values_is_refused_before_it_takes_their_memory() {
        let (here, there) = pair();
        let text = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        thread::scope(|scope| {
            scope.spawn(|| {
                for count in [MAX_VALUES - 1, MAX_VALUES] {
                    let body = text(count).into_bytes();
                    let length = u32::try_from(body.len()).expect("a length").to_be_bytes();
                    (&here).write_all(&[&length[..], &body].concat()).expect("written");
                }
            });
            let received: Option<Vec<u8>> = receive(&there).expect("an answer");
            assert_eq!(received.map(|it| it.len()), Some(MAX_VALUES - 1));
            let error = receive::<Vec<u8>>(&there).expect_err("too many");
            assert!(matches!(error, ChannelError::TooManyValues), "{error}");
        });
    }

    #[test]
    fn an_answer_that_trickles_in_does_not_extend_the_deadline() {
        let (here, there) = pair();
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                while (&here).write_all(b"\0").is_ok() && begun.elapsed() < Duration::from_secs(9) {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let late: Result<String, _> = {
                send_text(&there, "a question", &[]).expect("sent");
                receive_until(&there, MAX_LENGTH, Duration::from_millis(50))
            };
            late.expect_err("too late");
            there.shutdown(std::net::Shutdown::Both).expect("shut");
        });
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn sending_to_a_closed_channel_is_an_error() {
        let (here, there) = pair();
        let file = File::open("/proc/self/status").expect("a file");
        drop(there);
        let error = send_text(&here, "to nobody", &[file.as_fd()]).expect_err("nobody");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
