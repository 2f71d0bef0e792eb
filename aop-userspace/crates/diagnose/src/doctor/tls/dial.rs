//! One attempt: a connection to a listener, and its result. Each attempt has a deadline.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use aop_tls::{ProbeClient, ProbeConnection, Received, TlsVersion};
use socket2::{Domain, Socket, Type};

/// The time limit of an attempt.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait for a fatal alert after the handshake. In TLS 1.3 the client finishes before
/// the server has verified the client's certificate.
const ALERT_TIMEOUT: Duration = Duration::from_millis(1500);
/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 512;

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
pub(super) struct Attempt<'a> {
    pub(super) client: ProbeClient,
    /// The server name; `None` sends none.
    pub(super) name: Option<&'a str>,
    /// Splits the ClientHello into records of this many bytes, each in a segment of its own.
    pub(super) records: Option<usize>,
    /// The request that is sent after the handshake.
    pub(super) request: Option<&'a [u8]>,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AttemptAnswer {
    /// The server refused: the alert, or another description.
    Refused(String),
    /// The server accepted: the first line of the answer, or another sign of it.
    LetIn(String),
    /// The connection was closed before the first byte of TLS, probably by the address lock.
    ClosedBeforeTls,
    /// The attempt failed for this reason, and says nothing about the lock.
    Unreachable(String),
}

/// An answer, and whether the session was resumed.
pub(super) struct AttemptOutcome {
    pub(super) answer: AttemptAnswer,
    pub(super) resumed: bool,
}

/// Makes a TLS attempt.
pub(super) fn attempt(target: Target, how: &Attempt<'_>) -> AttemptOutcome {
    let end = Instant::now() + TIMEOUT;
    let failed = |answer| AttemptOutcome { answer, resumed: false };
    let stream = match connect(target, end) {
        Ok(stream) => stream,
        Err(error) => return failed(AttemptAnswer::Unreachable(error.to_string())),
    };
    match how.client.begin(how.name, target.to.ip()) {
        Ok(tls) => RunningAttempt {
            stream,
            tls,
            how,
            end,
            has_answered: false,
            has_requested: false,
            is_closing: false,
        }
        .run(),
        Err(why) => failed(AttemptAnswer::Unreachable(why)),
    }
}

/// Sends `bytes` in clear text, and judges the first line of the answer.
pub(super) fn in_clear(target: Target, bytes: &[u8]) -> AttemptAnswer {
    let end = Instant::now() + TIMEOUT;
    let talk = || -> io::Result<String> {
        let mut stream = connect(target, end)?;
        stream.write_all(bytes)?;
        let mut buffer = [0; MAX_ANSWER];
        let count = stream.read(&mut buffer)?;
        Ok(first_line(buffer.get(..count).unwrap_or_default()))
    };
    match talk() {
        Ok(line) if line.is_empty() => AttemptAnswer::Refused("closed".into()),
        Ok(line) if line.contains(" 400 ") => AttemptAnswer::Refused(line),
        Ok(line) => AttemptAnswer::LetIn(line),
        Err(error) if is_end(&error) => AttemptAnswer::Refused("closed".into()),
        Err(error) => AttemptAnswer::Unreachable(error.to_string()),
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
struct RunningAttempt<'a> {
    stream: TcpStream,
    tls: ProbeConnection,
    how: &'a Attempt<'a>,
    end: Instant,
    /// Whether the server has sent anything.
    has_answered: bool,
    /// Whether the request was sent, if there is one.
    has_requested: bool,
    /// Whether close_notify was sent.
    is_closing: bool,
}

impl RunningAttempt<'_> {
    fn run(mut self) -> AttemptOutcome {
        let answer = loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(answer)) => break answer,
                Err(error) if is_late(&error) && self.is_undecided() => self.close(),
                Err(error) => break self.broken(&error),
            }
        };
        AttemptOutcome { answer, resumed: self.tls.is_resumed() }
    }

    /// In TLS 1.3, silence after the handshake does not show whether the server accepted.
    fn is_undecided(&self) -> bool {
        let silent = !self.tls.is_handshaking() && self.how.request.is_none() && !self.is_closing;
        silent && self.tls.version() == Some(TlsVersion::V13)
    }

    /// Sends close_notify. A server that accepted closes the connection too; one that refuses sends
    /// an alert first.
    fn close(&mut self) {
        self.is_closing = true;
        self.end = Instant::now() + ALERT_TIMEOUT;
        self.tls.close();
    }

    /// Sends pending data, then reads once.
    fn step(&mut self) -> io::Result<Option<AttemptAnswer>> {
        self.send()?;
        if !self.tls.is_handshaking() && !self.has_requested {
            self.has_requested = true;
            if let Some(request) = self.how.request {
                self.tls.write(request)?;
                self.send()?;
            } else {
                self.end = self.end.min(Instant::now() + ALERT_TIMEOUT);
            }
        }
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.has_answered = true;
        let received = self.tls.receive(buffer.get(..count).unwrap_or_default())?;
        Ok(match received {
            Received::Nothing => None,
            Received::Data(bytes) => {
                Some(answer_of_line(&first_line(bytes.get(..MAX_ANSWER).unwrap_or(&bytes))))
            }
            Received::Closed if self.tls.is_handshaking() => {
                Some(AttemptAnswer::Refused("closed".into()))
            }
            Received::Closed => Some(AttemptAnswer::LetIn(
                "the handshake completed and the connection was closed".into(),
            )),
            Received::Alert(alert) => Some(AttemptAnswer::Refused(format!("alert {alert}"))),
            Received::Broken(why) => Some(AttemptAnswer::Unreachable(why)),
        })
    }

    /// Sends pending data; before the first byte of the server (the ClientHello), in small records
    /// if the attempt says so.
    fn send(&mut self) -> io::Result<()> {
        let bytes = self.tls.take_outgoing()?;
        match self.how.records.filter(|_| !self.has_answered) {
            Some(size) => pieces(&bytes, size).iter().try_for_each(|it| self.stream.write_all(it)),
            None => self.stream.write_all(&bytes),
        }
    }

    fn broken(&self, error: &io::Error) -> AttemptAnswer {
        let done = !self.tls.is_handshaking();
        match is_late(error) {
            true if self.is_closing => {
                AttemptAnswer::Unreachable("neither an alert nor a close within 3 s".into())
            }
            // In TLS 1.2 the server finishes last, so it has accepted.
            true if done && self.how.request.is_none() => {
                AttemptAnswer::LetIn("the handshake completed, and no alert followed".into())
            }
            true => AttemptAnswer::Unreachable("no answer within 3 s".into()),
            false if self.is_closing && error.kind() == io::ErrorKind::UnexpectedEof => {
                AttemptAnswer::LetIn("the handshake completed, and no alert followed".into())
            }
            // A reset may have discarded an alert.
            false if self.is_closing => AttemptAnswer::Unreachable(error.to_string()),
            false if is_end(error) && !self.has_answered => AttemptAnswer::ClosedBeforeTls,
            false if is_end(error) => AttemptAnswer::Refused("closed".into()),
            false => AttemptAnswer::Unreachable(error.to_string()),
        }
    }
}

/// A site with `on_refusal = "explain"` answers 403 to a refused peer.
fn answer_of_line(line: &str) -> AttemptAnswer {
    if line.contains(" 403 ") {
        AttemptAnswer::Refused(format!("explained: {line}"))
    } else {
        AttemptAnswer::LetIn(line.to_owned())
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
