//! Accepts a TLS connection: reads the ClientHello, chooses the site, finishes the handshake.
//!
//! The server name in the ClientHello chooses the site before anything is sent, so only the client
//! CAs of that site can verify the peer. A connection without a server name, with an unknown one,
//! or that is not TLS is refused here.

use std::{net::SocketAddr, sync::Arc};

use aop_config::Host;
use aop_types::Refusal;
use rustls::server::Acceptor;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::{
    identity::printable,
    not_enforced::{self, AcceptedPull, accept_observing},
    permit::{FinishedHandshake, OriginPull},
    protocol_sniff::{FirstBytes, HTTP_RESPONSE, sniff},
    refusal_of_error::{refusal_of_error, refusal_of_io_error},
    refused_connection::RefusedConnection,
    sites::{ConnectionTls, Site, Sites},
};

/// A fatal alert in clear: record type, version 1.2, length, level, description. Built by hand,
/// because rustls cannot send an alert between the ClientHello and the choice of a configuration.
const fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}
/// RFC 8446, section 9.2: the alert of a server that requires a server name and got none.
const MISSING_EXTENSION: [u8; 7] = alert(109);
/// RFC 6066, section 3: the alert for a server name that the server does not serve.
const UNRECOGNIZED_NAME: [u8; 7] = alert(112);

/// The plaintext that a session takes at once: 64 KiB with HTTP/2 frame headers, so that they leave
/// in one system call.
const WRITE_LIMIT: usize = 80 * 1024;

/// Reads the ClientHello, finds its site and finishes the handshake, all before `deadline`.
///
/// # Errors
/// The connection is refused. The alert or HTTP response for the peer was already sent.
pub async fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    sites: &Sites,
    deadline: Instant,
) -> Result<AcceptedPull, RefusedConnection> {
    let late = |_| RefusedConnection::new(Refusal::Deadline);
    let start = timeout_at(deadline, read_client_hello(stream)).await.map_err(late)??;
    let (site, host) = match choose_site(&start, sites) {
        Ok(chosen) => chosen,
        Err((refused, alert)) => return Err(send_and_refuse(refused, start.io, &alert).await),
    };
    timeout_at(deadline, finish(start, peer, &site, host))
        .await
        .map_err(late)
        .flatten()
        .map_err(|refused| refused.with_site(&site))
}

async fn read_client_hello(
    mut stream: TcpStream,
) -> Result<StartHandshake<TcpStream>, RefusedConnection> {
    match sniff(&mut stream).await {
        Ok(FirstBytes::Tls) => {}
        Ok(FirstBytes::Closed) => return Err(RefusedConnection::new(Refusal::PeerGone)),
        Ok(FirstBytes::Other) => {
            return Err(RefusedConnection::new(Refusal::BadHello).with_stream(stream));
        }
        Ok(FirstBytes::Proxy) => {
            let detail = "a PROXY header came from an address that is not named in proxy_from";
            let refused = RefusedConnection::new(Refusal::ProxyHeader).with_detail(detail);
            return Err(refused.with_stream(stream));
        }
        Ok(FirstBytes::Http) => {
            let refused = RefusedConnection::new(Refusal::NotTls);
            return Err(send_and_refuse(refused, stream, HTTP_RESPONSE).await);
        }
        Err(error) => return Err(refusal_of_io_error(&error)),
    }
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    match (&mut acceptor).await {
        Ok(start) => Ok(start),
        Err(error) => {
            let mut refused = refusal_of_io_error(&error);
            if refused.refusal == Refusal::Protocol {
                refused.refusal = Refusal::BadHello;
            }
            Err(match acceptor.take_io() {
                Some(stream) => refused.with_stream(stream),
                None => refused,
            })
        }
    }
}

fn choose_site(
    start: &StartHandshake<TcpStream>,
    sites: &Sites,
) -> Result<(Arc<Site>, Host), (RefusedConnection, [u8; 7])> {
    let hello = start.client_hello();
    // rustls treats an IP address in the extension as no name, as RFC 6066 demands.
    let Some(name) = hello.server_name() else {
        return Err((RefusedConnection::new(Refusal::NoName), MISSING_EXTENSION));
    };
    let Ok(host) = name.parse::<Host>() else {
        let refused = RefusedConnection::new(Refusal::NoName).with_detail(printable(name));
        return Err((refused, UNRECOGNIZED_NAME));
    };
    match sites.find(&host) {
        Some(site) => Ok((site.clone(), host)),
        None => {
            let refused = RefusedConnection::new(Refusal::UnknownName).with_detail(printable(name));
            Err((refused, UNRECOGNIZED_NAME))
        }
    }
}

async fn finish(
    start: StartHandshake<TcpStream>,
    peer: SocketAddr,
    site: &Arc<Site>,
    host: Host,
) -> Result<AcceptedPull, RefusedConnection> {
    let ConnectionTls { config, sessions, key_proof } = site.connection_tls();
    let handshake = start.into_stream(config).into_fallible();
    let mut stream = handshake
        .await
        .map_err(|(error, stream)| refusal_of_io_error(&error).with_stream(stream))?;
    stream.get_mut().1.set_buffer_limit(Some(WRITE_LIMIT));
    let finished = FinishedHandshake { stream: Box::new(stream), site: site.clone(), host, peer };
    if let Some(token) = site.observe_token() {
        return Ok(accept_observing(&token, finished, &key_proof));
    }
    if site.explains()
        && let Err(error) = site.verify(finished.chain())
    {
        return Err(refusal_of_error(&error).with_session(finished.stream));
    }
    let identity = not_enforced::identity(finished.chain())?;
    Ok(AcceptedPull::Authenticated(Box::new(OriginPull::new(finished, identity, sessions))))
}

async fn send_and_refuse(
    refused: RefusedConnection,
    mut stream: TcpStream,
    bytes: &[u8],
) -> RefusedConnection {
    match stream.write_all(bytes).await {
        Ok(()) => refused.with_stream(stream),
        Err(_) => refused,
    }
}
