//! The crate h2 at the other end: each side of this engine against an independent one.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{
    echo::{EchoClient, EchoServer, Job, body},
    *,
};

const JOBS: usize = 60;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(60), test).await.unwrap();
    });
}

/// Moves bytes between a pipe and one end, until the pipe closes or the end is done. It reads also
/// while the pipe takes nothing: the other end may wait for that.
async fn drive(pipe: DuplexStream, mut step: impl FnMut(&mut &[u8], &mut Vec<u8>) -> bool) {
    let (mut reader, mut writer) = tokio::io::split(pipe);
    let (mut input, mut output) = (Vec::new(), Vec::new());
    loop {
        let mut rest = &input[..];
        let done = step(&mut rest, &mut output);
        let left = rest.len();
        input.drain(..input.len() - left);
        if done {
            writer.write_all(&output).await.ok();
            return;
        }
        input.reserve(frame::LONGEST);
        tokio::select! {
            written = writer.write(&output), if !output.is_empty() => match written {
                Ok(written) => drop(output.drain(..written)),
                Err(_) => return,
            },
            read = reader.read_buf(&mut input) => {
                if read.unwrap() == 0 {
                    return;
                }
            }
        }
    }
}

/// Windows that are exhausted often.
fn narrow() -> ConnectionConfig {
    let (stream_window, connection_window) = (65_535, 100_000);
    ConnectionConfig {
        max_streams: 7,
        stream_window,
        connection_window,
        ..ConnectionConfig::default()
    }
}

/// Sends a body and trailers as the windows allow.
async fn send(mut stream: h2::SendStream<Bytes>, mut rest: Bytes, trailers: http::HeaderMap) {
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let capacity = poll_fn(|context| stream.poll_capacity(context)).await.unwrap().unwrap();
        let part = rest.split_to(capacity.min(rest.len()));
        stream.send_data(part, false).unwrap();
    }
    stream.send_trailers(trailers).unwrap();
}

async fn receive(stream: &mut h2::RecvStream) -> Vec<u8> {
    let mut received = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part.unwrap();
        received.extend_from_slice(&part);
        stream.flow_control().release_capacity(part.len()).unwrap();
    }
    received
}

fn trailers(value: &str) -> http::HeaderMap {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-trailer", value.parse().unwrap());
    trailers
}

async fn echo_request(client: h2::client::SendRequest<Bytes>, number: usize) {
    let mut client = client.ready().await.unwrap();
    let sent = body(number * 7_919 % 200_000, number);
    let value = format!("value {number}");
    let head = http::Request::post("http://a.test/x").header("x-echo", &value).body(()).unwrap();
    let (response, upload) = client.send_request(head, false).unwrap();
    let download = async {
        let response = response.await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["x-echo"], value);
        let mut stream = response.into_body();
        let received = receive(&mut stream).await;
        let trailers = stream.trailers().await.unwrap().unwrap();
        (received, trailers)
    };
    let upload = send(upload, Bytes::from(sent.clone()), trailers(&value));
    let ((), (received, trailers)) = tokio::join!(upload, download);
    assert!(received == sent && trailers["x-trailer"] == *value);
}

#[test]
fn a_client_of_h2_understands_this_server() {
    run(async {
        let (near, far) = tokio::io::duplex(30_000);
        let mut server = EchoServer::new(narrow());
        let serve = drive(near, |input, output| {
            server.receive(input);
            output.append(server.connection.output());
            false
        });
        let request = async {
            let mut builder = h2::client::Builder::new();
            let builder = builder
                .initial_window_size(20_000)
                .header_table_size(256)
                .initial_max_send_streams(5);
            let (client, connection) = builder.handshake(far).await.unwrap();
            let requests = async {
                let mut running = Vec::new();
                for number in 0..JOBS {
                    running.push(Box::pin(echo_request(client.clone(), number)));
                }
                drop(client);
                join_all(running).await;
            };
            let (connection, ()) = tokio::join!(connection, requests);
            connection.unwrap();
        };
        tokio::join!(serve, request);
    });
}

#[test]
fn a_server_of_h2_understands_this_client() {
    run(async {
        let (near, far) = tokio::io::duplex(30_000);
        let job = |number: usize| Job {
            body: body(number * 7_919 % 200_000, number),
            echo: format!("value {number}"),
            trailers: true,
            reset_after: None,
        };
        let mut client = EchoClient::new(narrow(), (0..JOBS).map(job).collect());
        let request = drive(near, |input, output| {
            client.receive(input);
            if client.is_done() {
                client.connection.shutdown();
            }
            output.append(client.connection.output());
            client.is_done()
        });
        let serve = async {
            let mut builder = h2::server::Builder::new();
            let builder = builder.max_concurrent_streams(5).initial_window_size(70_000);
            let mut connection = builder.handshake::<_, Bytes>(far).await.unwrap();
            let mut running = Vec::new();
            poll_fn(|context| {
                loop {
                    match connection.poll_accept(context) {
                        std::task::Poll::Ready(Some(Ok((request, respond)))) => {
                            running.push(Box::pin(echo_response(request, respond)));
                        }
                        std::task::Poll::Ready(_) => return std::task::Poll::Ready(()),
                        std::task::Poll::Pending => {}
                    }
                    let before = running.len();
                    running.retain_mut(|task| task.as_mut().poll(context).is_pending());
                    if running.len() == before {
                        return std::task::Poll::Pending;
                    }
                }
            })
            .await;
        };
        tokio::join!(serve, request);
        assert_eq!(client.done, JOBS);
    });
}

async fn echo_response(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let (head, mut stream) = request.into_parts();
    let response = http::Response::builder().header("x-echo", &head.headers["x-echo"]);
    let upload = respond.send_response(response.body(()).unwrap(), false).unwrap();
    let received = receive(&mut stream).await;
    let trailers = stream.trailers().await.unwrap().unwrap();
    send(upload, Bytes::from(received), trailers).await;
}

/// Waits for all of them.
async fn join_all(mut tasks: Vec<std::pin::Pin<Box<impl Future<Output = ()>>>>) {
    poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        match tasks.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}
