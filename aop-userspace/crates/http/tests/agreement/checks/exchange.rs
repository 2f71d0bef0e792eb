//! Whole exchanges between a client of the crate h2 and a server of this engine: what one sends is
//! what the other reads, and neither complains.

use std::{collections::BTreeMap, future::poll_fn, pin::Pin, task::Poll};

use aop_http::{
    ResponseHead,
    http2::{Connection, ConnectionConfig, End, ExtendedConnect, StreamEvent, StreamId},
};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::choices::Choices;

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PUT"];
const STATUSES: [u16; 6] = [200, 204, 304, 404, 413, 503];

/// One request and its response.
#[derive(Clone, Copy, Debug)]
struct Job {
    method: &'static str,
    upload: usize,
    upload_trailers: bool,
    interim: usize,
    status: u16,
    download: usize,
    download_trailers: bool,
    /// Whether the response has a Content-Length.
    announced: bool,
    /// Whether the response begins before the request has ended.
    early: bool,
    /// The client leaves when it has the head of the response.
    leaves: bool,
}

impl Job {
    fn new(choices: &mut Choices<'_>) -> Self {
        let method = choices.of(&METHODS);
        let uploads = matches!(method, "POST" | "PUT");
        let mut length = || match choices.below(8) {
            0 | 1 => 0,
            2 => choices.below(256) * 32,
            _ => choices.below(64),
        };
        let (upload, download) = (if uploads { length() } else { 0 }, length());
        let status = choices.of(&STATUSES);
        let bodiless = method == "HEAD" || matches!(status, 204 | 304);
        let download = if bodiless { 0 } else { download };
        Self {
            method,
            upload,
            upload_trailers: uploads && choices.one_in(3),
            interim: choices.below(3),
            status,
            download,
            download_trailers: !bodiless && choices.one_in(3),
            announced: !bodiless && choices.one_in(2),
            early: choices.one_in(3),
            leaves: choices.one_in(6),
        }
    }

    /// Whether the head of the response ends it.
    fn ends_with_head(self) -> bool {
        self.download == 0 && !self.download_trailers
    }
}

/// A body that differs from place to place.
fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

/// Runs the exchanges that the choices in `input` give.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let config = ConnectionConfig {
        max_streams: choices.below(5) as u32 + 1,
        stream_window: 65_535 + u32::from(choices.byte()) * 256,
        connection_window: 65_535 + u32::from(choices.byte()) * 256,
        max_head: 16_384,
        extended_connect: ExtendedConnect::Refused,
    };
    let pipe = 64 + choices.below(256) * 128;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(256 + choices.number() % 20_000);
    builder.initial_connection_window_size(65_535 + u32::from(choices.byte()) * 512);
    builder.header_table_size(choices.number() % 8_192).initial_max_send_streams(1);
    let count = choices.below(6) + 1;
    let jobs: Vec<_> = (0..count).map(|_| Job::new(&mut choices)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(pipe);
        let serve = serve(near, Server::new(config, &jobs));
        let request = async {
            let (client, connection) = builder.handshake(far).await.unwrap();
            let requests = jobs.iter().enumerate();
            let requests = requests.map(|(number, job)| request(client.clone(), number, *job));
            let requests = join_all(requests.collect());
            drop(client);
            let (connection, ()) = tokio::join!(connection, requests);
            connection.unwrap();
        };
        let (server, ()) = tokio::join!(serve, request);
        // h2 may close the connection without a reset of the streams that it left.
        let left = jobs.iter().filter(|job| job.leaves).count();
        assert!(server.connection.open_streams() <= left, "a stream of {jobs:?} did not end");
    });
}

/// Waits for all of them.
async fn join_all(futures: Vec<impl Future<Output = ()>>) {
    let mut running: Vec<Pin<Box<_>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn request(client: h2::client::SendRequest<Bytes>, number: usize, job: Job) {
    let mut client = client.ready().await.unwrap();
    let head = http::Request::builder().method(job.method).uri("http://a.test/x?y");
    let head = head.header("x-job", number).body(()).unwrap();
    let whole = job.upload == 0 && !job.upload_trailers;
    let (response, stream) = client.send_request(head, whole).unwrap();
    drop(client);
    let upload = async {
        if !whole {
            send(stream, Bytes::from(body(job.upload, number)), job.upload_trailers).await;
        }
    };
    let download = async {
        let response = response.await.unwrap();
        assert_eq!(response.status().as_u16(), job.status);
        assert_eq!(response.headers()["x-job"], number.to_string());
        if job.leaves {
            return;
        }
        let mut stream = response.into_body();
        let mut read = Vec::new();
        while let Some(part) = stream.data().await {
            let part = part.unwrap();
            read.extend_from_slice(&part);
            stream.flow_control().release_capacity(part.len()).unwrap();
        }
        assert!(read == body(job.download, number), "another body of job {number}");
        let trailers = stream.trailers().await.unwrap();
        assert_eq!(trailers.is_some_and(|it| it["x-sum"] == "1"), job.download_trailers);
    };
    tokio::join!(upload, download);
}

/// Sends a body as the windows allow. If the stream is reset, the rest is not sent.
async fn send(mut stream: h2::SendStream<Bytes>, mut rest: Bytes, trailers: bool) {
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let Some(Ok(capacity)) = poll_fn(|context| stream.poll_capacity(context)).await else {
            return;
        };
        let part = rest.split_to(capacity.min(rest.len()));
        if stream.send_data(part, false).is_err() {
            return;
        }
    }
    if trailers {
        let mut fields = http::HeaderMap::new();
        fields.insert("x-sum", "2".parse().unwrap());
        stream.send_trailers(fields).ok();
    } else {
        stream.send_data(Bytes::new(), true).ok();
    }
}

/// Moves bytes between the pipe and the server, until the client closes.
async fn serve<'j>(pipe: DuplexStream, mut server: Server<'j>) -> Server<'j> {
    let (mut reader, mut writer) = tokio::io::split(pipe);
    let mut input = Vec::new();
    loop {
        let mut rest = &input[..];
        server.receive(&mut rest);
        let left = rest.len();
        input.drain(..input.len() - left);
        input.reserve(1_024);
        let output = server.connection.output();
        tokio::select! {
            written = writer.write(output), if !output.is_empty() => match written {
                Ok(written) => drop(output.drain(..written)),
                // The client has closed: the rest of its bytes is still read.
                Err(_) => output.clear(),
            },
            read = reader.read_buf(&mut input) => {
                if read.unwrap() == 0 {
                    return server;
                }
            }
        }
    }
}

struct Server<'j> {
    connection: Connection,
    jobs: &'j [Job],
    running: BTreeMap<StreamId, Running>,
}

/// A job that is not complete.
struct Running {
    number: usize,
    upload: Vec<u8>,
    received: usize,
    ended: bool,
    responded: bool,
    rest: Vec<u8>,
}

impl<'j> Server<'j> {
    fn new(config: ConnectionConfig, jobs: &'j [Job]) -> Self {
        Self { connection: Connection::server(config), jobs, running: BTreeMap::new() }
    }

    fn receive(&mut self, input: &mut &[u8]) {
        while let Some(event) = self.connection.receive(input, 0).unwrap() {
            match event {
                StreamEvent::Request { stream, end } => {
                    let head = self.connection.request();
                    let number = head.fields.first(b"x-job").unwrap();
                    let number: usize = std::str::from_utf8(number).unwrap().parse().unwrap();
                    let job = self.jobs[number];
                    assert_eq!(head.method, job.method.as_bytes());
                    assert_eq!(
                        (&head.authority[..], &head.path[..]),
                        (&b"a.test"[..], &b"/x?y"[..])
                    );
                    let (upload, rest) = (body(job.upload, number), body(job.download, number));
                    let (received, responded, ended) = (0, false, end);
                    let running = Running { number, upload, received, ended, responded, rest };
                    self.running.insert(stream, running);
                }
                StreamEvent::Data { stream, bytes, end } => {
                    if let Some(running) = self.running.get_mut(&stream) {
                        let rest = &running.upload[running.received..];
                        assert!(rest.starts_with(bytes), "another upload");
                        running.received += bytes.len();
                        running.ended = end;
                    }
                    self.connection.consumed(stream, bytes.len());
                }
                StreamEvent::Trailers { stream } => {
                    assert_eq!(self.connection.trailers().first(b"x-sum"), Some(&b"2"[..]));
                    if let Some(running) = self.running.get_mut(&stream) {
                        running.ended = true;
                    }
                }
                StreamEvent::Reset { stream, .. } => {
                    if let Some(running) = self.running.remove(&stream) {
                        assert!(self.jobs[running.number].leaves, "h2 resets a sound stream");
                    }
                }
                StreamEvent::Writable { .. } | StreamEvent::GoAway { .. } => {}
                StreamEvent::Response { .. }
                | StreamEvent::Malformed { .. }
                | StreamEvent::Truncated { .. }
                | StreamEvent::Limit { .. } => panic!("{event:?}"),
            }
        }
        self.send();
    }

    /// Sends what the windows take.
    fn send(&mut self) {
        let Self { connection, jobs, running } = self;
        running.retain(|stream, running| {
            let job = jobs[running.number];
            if running.ended {
                assert_eq!(running.received, job.upload);
            }
            if !running.ended && !job.early {
                return true;
            }
            if !running.responded {
                running.responded = true;
                respond(connection, *stream, running.number, job);
                if job.ends_with_head() {
                    return false;
                }
            }
            let end = if job.download_trailers { End::No } else { End::Yes };
            let taken = connection.send_data(*stream, &running.rest, end);
            running.rest.drain(..taken);
            if running.rest.is_empty() && job.download_trailers {
                let mut trailers = aop_http::Fields::default();
                trailers.push(b"x-sum", b"1");
                connection.send_trailers(*stream, &trailers);
            }
            !running.rest.is_empty()
        });
    }
}

fn respond(connection: &mut Connection, stream: StreamId, number: usize, job: Job) {
    for _ in 0..job.interim {
        let interim = ResponseHead { status: 103, ..ResponseHead::default() };
        connection.respond(stream, &interim, End::No);
    }
    let mut head = ResponseHead { status: job.status, ..ResponseHead::default() };
    head.fields.push(b"x-job", number.to_string().as_bytes());
    if job.announced {
        head.fields.push(b"content-length", job.download.to_string().as_bytes());
    }
    let end = if job.ends_with_head() { End::Yes } else { End::No };
    connection.respond(stream, &head, end);
}
