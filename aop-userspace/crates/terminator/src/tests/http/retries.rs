//! A request is sent again where that is safe, and only there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{Request, Response, body::Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};

use super::{
    Rig, RigConfig, SITE,
    application::Frames,
    client::{Client, LONG, edge},
};

/// An application that answers the first request of each connection, and closes the connection
/// under the second.
async fn closes_under_the_second(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        if stream.read(&mut head).await.unwrap_or(0) == 0 {
            continue;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        if stream.read(&mut head).await.is_ok() {
            drop(stream);
        }
    }
}

#[tokio::test]
async fn an_idempotent_request_survives_an_application_that_closes_a_kept_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig =
        Rig::with(RigConfig::upstream(&format!("http://{}", listener.local_addr().unwrap()))).await;
    let ask = async {
        for mut client in [Client::http1(&rig).await, Client::http2(&rig).await] {
            for method in ["GET", "GET", "DELETE", "PUT", "HEAD", "GET"] {
                let body = if method == "PUT" { Frames::text("body") } else { Frames::default() };
                let request = client.request(method, "/").body(body).unwrap();
                let response = client.send(request).await.unwrap();
                assert_eq!(response.status(), 200, "{method}");
                super::application::whole(response.into_body()).await.unwrap();
            }
            // Sent once alone: it may have been acted on.
            let mut statuses = Vec::new();
            for _ in 0..2 {
                let request = client.request("POST", "/").body(Frames::text("x")).unwrap();
                statuses.push(client.send(request).await.unwrap().status().as_u16());
            }
            assert!(statuses.contains(&502), "{statuses:?}");
        }
    };
    tokio::select! {
        () = closes_under_the_second(listener) => {}
        () = ask => {}
    }
}

/// An h2c application that leaves out all requests but the first of each connection with a GOAWAY,
/// or refuses every other stream.
async fn serve_few(listener: TcpListener, refuse: bool) {
    let (served, mut connections) = (Arc::<AtomicUsize>::default(), JoinSet::new());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let served = served.clone();
        connections.spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut answer))) = connection.accept().await {
                if refuse && served.fetch_add(1, Relaxed) % 2 == 1 {
                    answer.send_reset(h2::Reason::REFUSED_STREAM);
                    continue;
                }
                let response = Response::builder().status(200).body(()).unwrap();
                answer.send_response(response, true).unwrap();
                drop(request);
                if !refuse {
                    connection.graceful_shutdown();
                }
            }
        });
    }
}

#[tokio::test]
async fn an_h2c_application_that_refuses_or_renews_connections_costs_no_request() {
    for refuse in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("h2c://{}", listener.local_addr().unwrap());
        let rig = Rig::with(RigConfig::upstream(&upstream)).await;
        let ask = async {
            let mut client = Client::http2(&rig).await;
            for number in 0..20 {
                let request: Request<Frames> = match number % 2 {
                    0 => client.request("GET", "/").body(Frames::default()).unwrap(),
                    _ => client.request("POST", "/").body(Frames::text("small")).unwrap(),
                };
                assert_eq!(client.send(request).await.unwrap().status(), 200, "{number} {refuse}");
            }
        };
        tokio::select! {
            () = serve_few(listener, refuse) => {}
            () = ask => {}
        }
    }
}

/// An h2c application with few streams: those of a connection that exceed `streams` are refused.
async fn serve_narrow(listener: TcpListener, streams: u32) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let builder = h2::server::Builder::new().max_concurrent_streams(streams).clone();
            let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
            let mut answers = JoinSet::new();
            while let Some(Ok((request, mut answer))) = connection.accept().await {
                answers.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let response = Response::builder().status(200).body(()).unwrap();
                    answer.send_response(response, true).unwrap();
                    drop(request);
                });
            }
        });
    }
}

#[tokio::test]
async fn a_burst_meets_no_502_at_an_h2c_application_that_allows_few_streams() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("h2c://{}", listener.local_addr().unwrap());
    let rig = Rig::with(RigConfig::upstream(&upstream)).await;
    let ask = async {
        let client = Client::http2(&rig).await;
        let mut asking = JoinSet::new();
        for number in 0..60 {
            let mut twin = client.twin();
            asking.spawn(async move {
                let method = if number % 2 == 0 { "GET" } else { "POST" };
                let request = twin.request(method, "/").body(Frames::default()).unwrap();
                twin.send(request).await.unwrap().status().as_u16()
            });
        }
        assert!(asking.join_all().await.iter().all(|status| *status == 200));
    };
    tokio::select! {
        () = serve_narrow(listener, 4) => {}
        () = ask => {}
    }
}

/// An h2c application whose first connection goes dark after its first answer.
async fn goes_dark(listener: TcpListener) {
    let (mut dark, mut connections) = (Vec::new(), JoinSet::new());
    for number in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
        if let Some(Ok((_, mut answer))) = connection.accept().await {
            answer.send_response(Response::new(()), true).unwrap();
        }
        if number == 0 {
            // The socket stays open, and nobody reads it.
            let once = std::future::poll_fn(|context| connection.poll_closed(context));
            timeout(Duration::from_millis(200), once).await.ok();
            dark.push(connection);
            continue;
        }
        connections.spawn(async move {
            while let Some(Ok((_, mut answer))) = connection.accept().await {
                answer.send_response(Response::new(()), true).unwrap();
            }
        });
    }
}

#[tokio::test]
async fn an_h2c_connection_that_goes_dark_is_left_within_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("h2c://{}", listener.local_addr().unwrap());
    let rig = Rig::with(RigConfig::upstream(&upstream)).await;
    let ask = async {
        let stream = edge(&rig, &["h2"], SITE).await;
        let (mut peer, connection) = h2::client::handshake(stream).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        let get = || Request::get(format!("https://{SITE}/")).body(()).unwrap();
        let (first, _) = peer.send_request(get(), true).unwrap();
        assert_eq!(timeout(LONG, first).await.unwrap().unwrap().status(), 200);
        // The PING after 10 s gets no answer for another 10 s. Then a new connection serves it.
        let (second, _) = peer.send_request(get(), true).unwrap();
        let response = timeout(Duration::from_secs(40), second).await.expect("a new connection");
        assert_eq!(response.unwrap().status(), 200);
    };
    tokio::select! {
        () = goes_dark(listener) => {}
        () = ask => {}
    }
}
