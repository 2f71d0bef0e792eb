//! One connection of a client: one request, one page. All that knows HTTP is here.

use std::{io, sync::Arc, time::Duration};

use aop_http::{
    RequestHead,
    http1::{MessageEvent, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    listener::MonitorStream,
    response::{Response, with_text},
    routes::Routes,
};

/// Time for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a whole connection.
const LONGEST: Duration = Duration::from_secs(10);
/// Greatest size of a head in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

pub(super) async fn answer(stream: Box<dyn MonitorStream>, routes: Arc<impl Routes>) {
    // A client that hangs or disconnects is no error of the daemon.
    match timeout(LONGEST, serve(stream, &*routes)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("monitor: {error}"),
        Err(_) => tracing::debug!("monitor: a connection took too long"),
    }
}

async fn serve(mut stream: Box<dyn MonitorStream>, routes: &impl Routes) -> io::Result<()> {
    let mut server = Server::default();
    let (response, body) = match timeout(HEAD, head(&mut stream, &mut server)).await? {
        Ok(()) => response(server.request_mut(), routes).await,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            with_text(400, &error.to_string())
        }
        Err(error) => return Err(error),
    };
    let method = server.request_mut().method.clone();
    server.close_after_response();
    server.respond(&response, &method);
    server.send_data(body.as_bytes());
    stream.write_all(server.output()).await?;
    stream.shutdown().await
}

/// Reads the head of a request.
async fn head(stream: &mut Box<dyn MonitorStream>, server: &mut Server) -> io::Result<()> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let (mut buffer, mut total) = ([0; 2048], 0);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        total += read;
        if total > LONGEST_HEAD {
            return Err(invalid("the head is too large".to_owned()));
        }
        let mut rest = &buffer[..read];
        let event = server.receive(&mut rest);
        if event.map_err(|malformed| invalid(malformed.to_string()))? == Some(MessageEvent::Head) {
            return Ok(());
        }
    }
}

/// Answers a request.
async fn response(request: &RequestHead, routes: &impl Routes) -> Response {
    if !matches!(&request.method[..], b"GET" | b"HEAD") {
        let (mut refused, text) = with_text(405, "only GET and HEAD");
        refused.fields.push(b"allow", b"GET, HEAD");
        return (refused, text);
    }
    routes.get(request).await
}

#[cfg(test)]
mod tests;
