//! From a TCP connection to an origin pull: ClientHello, site, handshake.
//!
//! The site is chosen by the name in the ClientHello, before anything is sent, so that its client
//! CAs and no others judge the peer. No name, an unknown one, and everything that is not TLS ends
//! here.

use std::{net::SocketAddr, sync::Arc};

use aop_config::Host;
use rustls::server::Acceptor;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::{
    identity::printable,
    judgement::{self, judge},
    observed::{self, Accepted},
    plain::{self, Opening},
    pull::{Finished, OriginPull},
    refusal::Refusal,
    refused::Refused,
    sites::{Site, Sites, Terms},
};

/// A fatal alert in clear, which rustls cannot be asked to send between ClientHello and the choice
/// of a configuration: record type, version 1.2, length, level, description.
const fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}
/// RFC 8446, 9.2: for a server that requires a server name and got none.
const MISSING_EXTENSION: [u8; 7] = alert(109);
/// RFC 6066, 3.
const UNRECOGNIZED_NAME: [u8; 7] = alert(112);

/// Reads the ClientHello, finds its site and finishes the handshake, all before `deadline`.
///
/// # Errors
/// The connection is refused; what the peer is told by protocol was sent already.
pub async fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    sites: &Sites,
    deadline: Instant,
) -> Result<Accepted, Refused> {
    let late = |_| Refused::new(Refusal::Deadline);
    let start = timeout_at(deadline, hello(stream)).await.map_err(late)??;
    let (site, host) = match choose(&start, sites) {
        Ok(chosen) => chosen,
        Err((refused, alert)) => return Err(tell(refused, start.io, &alert).await),
    };
    timeout_at(deadline, finish(start, peer, &site, host))
        .await
        .map_err(late)
        .flatten()
        .map_err(|refused| refused.at(&site))
}

async fn hello(mut stream: TcpStream) -> Result<StartHandshake<TcpStream>, Refused> {
    match plain::opening(&mut stream).await {
        Ok(Opening::Tls) => {}
        Ok(Opening::Nothing) => return Err(Refused::new(Refusal::PeerGone)),
        Ok(Opening::Garbage) => return Err(Refused::new(Refusal::BadHello).on(stream)),
        Ok(Opening::Proxy) => {
            let detail = "there is one, and its sender is not named in proxy_from";
            return Err(Refused::new(Refusal::ProxyHeader).because(detail).on(stream));
        }
        Ok(Opening::Http) => {
            return Err(tell(Refused::new(Refusal::NotTls), stream, plain::ANSWER).await);
        }
        Err(error) => return Err(judge(&error)),
    }
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    match (&mut acceptor).await {
        Ok(start) => Ok(start),
        Err(error) => {
            let mut refused = judge(&error);
            if refused.refusal == Refusal::Protocol {
                refused.refusal = Refusal::BadHello;
            }
            Err(match acceptor.take_io() {
                Some(stream) => refused.on(stream),
                None => refused,
            })
        }
    }
}

fn choose(
    start: &StartHandshake<TcpStream>,
    sites: &Sites,
) -> Result<(Arc<Site>, Host), (Refused, [u8; 7])> {
    let hello = start.client_hello();
    // rustls reads an address in the place of a name as no name, as RFC 6066 has it.
    let Some(name) = hello.server_name() else {
        return Err((Refused::new(Refusal::NoName), MISSING_EXTENSION));
    };
    let Ok(host) = name.parse::<Host>() else {
        let refused = Refused::new(Refusal::NoName).because(printable(name));
        return Err((refused, UNRECOGNIZED_NAME));
    };
    match sites.find(&host) {
        Some(site) => Ok((site.clone(), host)),
        None => {
            let refused = Refused::new(Refusal::UnknownName).because(printable(name));
            Err((refused, UNRECOGNIZED_NAME))
        }
    }
}

async fn finish(
    start: StartHandshake<TcpStream>,
    peer: SocketAddr,
    site: &Arc<Site>,
    host: Host,
) -> Result<Accepted, Refused> {
    let Terms { config, desk, unsigned } = site.terms();
    let handshake = start.into_stream(config).into_fallible();
    let stream = handshake.await.map_err(|(error, stream)| judge(&error).on(stream))?;
    let finished = Finished { stream: Box::new(stream), site: site.clone(), host, peer };
    if let Some(observing) = site.observing() {
        return Ok(observed::judge(&observing, finished, desk, &unsigned));
    }
    if site.explains()
        && let Err(error) = site.judge(finished.chain())
    {
        return Err(judgement::of(&error).over(finished.stream));
    }
    let identity = observed::identity(finished.chain())?;
    Ok(Accepted::Proven(Box::new(OriginPull::new(finished, identity, desk))))
}

async fn tell(refused: Refused, mut stream: TcpStream, what: &[u8]) -> Refused {
    match stream.write_all(what).await {
        Ok(()) => refused.on(stream),
        Err(_) => refused,
    }
}
