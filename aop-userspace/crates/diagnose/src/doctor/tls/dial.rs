//! One attempt: a connection to a listener, and its result. Each attempt has a deadline.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion, pki_types::ServerName,
};
use socket2::{Domain, Socket, Type};

/// The time limit of an attempt.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for a fatal alert after the handshake. In TLS 1.3 the client finishes before
/// the server has verified the client's certificate.
const AFTERTHOUGHT: Duration = Duration::from_millis(1500);
/// The most bytes of an answer that are read.
const ENOUGH: usize = 512;

/// The addresses of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) from: IpAddr,
    pub(super) to: SocketAddr,
    /// Whether the listener expects a PROXY header first.
    pub(super) proxied: bool,
}

/// The parameters of a TLS attempt.
#[derive(Clone)]
pub(super) struct Try<'a> {
    pub(super) config: Arc<ClientConfig>,
    /// The server name; `None` sends none.
    pub(super) name: Option<&'a str>,
    /// Splits the ClientHello into records of this many bytes, each in a segment of its own.
    pub(super) records: Option<usize>,
    /// The request that is sent after the handshake.
    pub(super) request: Option<&'a [u8]>,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The server refused: the alert, or another description.
    Refused(String),
    /// The server accepted: the first line of the answer, or another sign of it.
    LetIn(String),
    /// The connection was closed before the first byte of TLS, probably by the address lock.
    Shut,
    /// The attempt failed for this reason, and says nothing about the lock.
    Unreachable(String),
}

/// An answer, and whether the session was resumed.
pub(super) struct Outcome {
    pub(super) answer: Answer,
    pub(super) resumed: bool,
}

/// Makes a TLS attempt.
pub(super) fn attempt(target: Target, how: &Try<'_>) -> Outcome {
    let end = Instant::now() + PATIENCE;
    let plain = |answer| Outcome { answer, resumed: false };
    let stream = match connect(target, end) {
        Ok(stream) => stream,
        Err(error) => return plain(Answer::Unreachable(error.to_string())),
    };
    let name = match how.name {
        Some(name) => ServerName::try_from(name.to_owned()).ok(),
        // rustls sends no server name for an address.
        None => Some(ServerName::from(target.to.ip())),
    };
    let Some(name) = name else { return plain(Answer::Unreachable("no valid server name".into())) };
    match ClientConnection::new(how.config.clone(), name) {
        Ok(tls) => {
            Course { stream, tls, how, end, heard: false, asked: false, closing: false }.run()
        }
        Err(error) => plain(Answer::Unreachable(error.to_string())),
    }
}

/// Sends `bytes` in clear text, and judges the first line of the answer.
pub(super) fn in_clear(target: Target, bytes: &[u8]) -> Answer {
    let end = Instant::now() + PATIENCE;
    let talk = || -> io::Result<String> {
        let mut stream = connect(target, end)?;
        stream.write_all(bytes)?;
        let mut buffer = [0; ENOUGH];
        let count = stream.read(&mut buffer)?;
        Ok(first_line(buffer.get(..count).unwrap_or_default()))
    };
    match talk() {
        Ok(line) if line.is_empty() => Answer::Refused("closed".into()),
        Ok(line) if line.contains(" 400 ") => Answer::Refused(line),
        Ok(line) => Answer::LetIn(line),
        Err(error) if is_end(&error) => Answer::Refused("closed".into()),
        Err(error) => Answer::Unreachable(error.to_string()),
    }
}

fn connect(target: Target, end: Instant) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target.to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(target.from, 0).into())?;
    socket.connect_timeout(&target.to.into(), left(end)?)?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(left(end)?))?;
    stream.set_read_timeout(Some(left(end)?))?;
    if target.proxied {
        stream.write_all(b"PROXY UNKNOWN\r\n")?;
    }
    Ok(stream)
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A connection under way.
struct Course<'a> {
    stream: TcpStream,
    tls: ClientConnection,
    how: &'a Try<'a>,
    end: Instant,
    /// Whether the server has sent anything.
    heard: bool,
    asked: bool,
    /// Whether close_notify was sent.
    closing: bool,
}

impl Course<'_> {
    fn run(mut self) -> Outcome {
        let answer = loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(answer)) => break answer,
                Err(error) if is_late(&error) && self.is_undecided() => self.close(),
                Err(error) => break self.broken(&error),
            }
        };
        let resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        Outcome { answer, resumed }
    }

    /// In TLS 1.3, silence after the handshake does not show whether the server accepted.
    fn is_undecided(&self) -> bool {
        let version = self.tls.protocol_version();
        let silent = !self.tls.is_handshaking() && self.how.request.is_none() && !self.closing;
        silent && version == Some(ProtocolVersion::TLSv1_3)
    }

    /// Sends close_notify. A server that accepted closes the connection too; one that refuses sends
    /// an alert first.
    fn close(&mut self) {
        self.closing = true;
        self.end = Instant::now() + AFTERTHOUGHT;
        self.tls.send_close_notify();
    }

    /// Sends pending data, then reads once.
    fn step(&mut self) -> io::Result<Option<Answer>> {
        self.send()?;
        if !self.tls.is_handshaking() && !self.asked {
            self.asked = true;
            if let Some(request) = self.how.request {
                self.tls.writer().write_all(request)?;
                self.send()?;
            } else {
                self.end = self.end.min(Instant::now() + AFTERTHOUGHT);
            }
        }
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.heard = true;
        let mut bytes = buffer.get(..count).unwrap_or_default();
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes)?;
            match self.tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => {
                    let mut text = vec![0; state.plaintext_bytes_to_read().min(ENOUGH)];
                    let count = self.tls.reader().read(&mut text)?;
                    text.truncate(count);
                    return Ok(Some(told(&first_line(&text))));
                }
                Ok(state) if state.peer_has_closed() => {
                    return Ok(Some(match self.tls.is_handshaking() {
                        true => Answer::Refused("closed".into()),
                        false => Answer::LetIn(
                            "the handshake completed and the connection was closed".into(),
                        ),
                    }));
                }
                Ok(_) => {}
                Err(Error::AlertReceived(alert)) => {
                    return Ok(Some(Answer::Refused(format!("alert {alert:?}"))));
                }
                Err(error) => return Ok(Some(Answer::Unreachable(error.to_string()))),
            }
        }
        Ok(None)
    }

    /// Sends pending data; before the first byte of the server (the ClientHello), in small records
    /// if the attempt says so.
    fn send(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        match self.how.records.filter(|_| !self.heard) {
            Some(size) => pieces(&bytes, size).iter().try_for_each(|it| self.stream.write_all(it)),
            None => self.stream.write_all(&bytes),
        }
    }

    fn broken(&self, error: &io::Error) -> Answer {
        let done = !self.tls.is_handshaking();
        match is_late(error) {
            true if self.closing => {
                Answer::Unreachable("neither an alert nor a close within 3 s".into())
            }
            // In TLS 1.2 the server finishes last, so it has accepted.
            true if done && self.how.request.is_none() => {
                Answer::LetIn("the handshake completed, and no alert followed".into())
            }
            true => Answer::Unreachable("no answer within 3 s".into()),
            false if self.closing && error.kind() == io::ErrorKind::UnexpectedEof => {
                Answer::LetIn("the handshake completed, and no alert followed".into())
            }
            // A reset may have discarded an alert.
            false if self.closing => Answer::Unreachable(error.to_string()),
            false if is_end(error) && !self.heard => Answer::Shut,
            false if is_end(error) => Answer::Refused("closed".into()),
            false => Answer::Unreachable(error.to_string()),
        }
    }
}

/// A site with `on_refusal = "explain"` answers 403 to a refused peer.
fn told(line: &str) -> Answer {
    match line.contains(" 403 ") {
        true => Answer::Refused(format!("explained: {line}")),
        false => Answer::LetIn(line.to_owned()),
    }
}

/// Splits handshake records into records of `size` bytes.
fn pieces(records: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = records;
    while let Some((head, after)) = rest.split_at_checked(5) {
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let (body, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        for part in body.chunks(size) {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
            pieces.push([&head[..3], &length, part].concat());
        }
        rest = after;
    }
    pieces
}

fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    aop_tls::printable(text.lines().next().unwrap_or_default())
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests;
