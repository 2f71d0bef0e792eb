//! An edge: it takes requests of visitors over HTTP/1.1 and h2c, and pulls from an origin over TLS
//! with a client certificate. All HTTP and TLS is pingora's.
//!
//! Usage: `aop-edge FILE`. `settings.rs` has the keys of the file. Standard error gets a line for
//! each request that the edge sent again (`again:`), and for each that it gave up (`failed:`).

mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::prelude::{Error, HttpPeer, ProxyHttp, Result, Server, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::ALPN;
use pingora::utils::tls::CertKey;

use crate::settings::{Origin, Protocol, Settings};

/// Streams of one connection to the origin.
const STREAMS: usize = 100;
/// Connections to the origin that the edge keeps when they are idle.
const KEPT: usize = 128;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).ok_or("usage: aop-edge FILE".to_owned());
    match path.and_then(|path| Settings::read(path.as_ref())) {
        Ok(settings) => serve(settings),
        Err(why) => {
            eprintln!("aop-edge: {why}");
            ExitCode::from(2)
        }
    }
}

/// Serves until a signal ends the process.
fn serve(settings: Settings) -> ExitCode {
    let conf = ServerConf { threads: 2, upstream_keepalive_pool_size: KEPT, ..Default::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let edge = Edge { peer: peer(settings.origin) };
    let mut service = http_proxy_service(&server.configuration, edge);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    if let Some(proxy) = service.app_logic_mut() {
        proxy.server_options = Some(options);
    }
    service.add_tcp(&settings.listen);
    server.add_service(service);
    server.run_forever()
}

/// The origin, as pingora connects to it.
fn peer(origin: Origin) -> HttpPeer {
    let Some(tls) = origin.tls else {
        return HttpPeer::new(origin.address, false, String::new());
    };
    let identity = CertKey::new(tls.certificates, tls.key);
    let mut peer = HttpPeer::new_mtls(origin.address, tls.sni, Arc::new(identity));
    peer.options.ca = Some(Arc::new(tls.ca.into_boxed_slice()));
    peer.options.max_h2_streams = STREAMS;
    peer.options.alpn = match tls.protocol {
        Protocol::Http1 => ALPN::H1,
        Protocol::Http2 => ALPN::H2H1,
    };
    peer
}

struct Edge {
    peer: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Edge {
    /// How often the request was sent.
    type CTX = u32;

    fn new_ctx(&self) -> u32 {
        0
    }

    async fn upstream_peer(&self, _: &mut Session, sent: &mut u32) -> Result<Box<HttpPeer>> {
        *sent += 1;
        Ok(Box::new(self.peer.clone()))
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, sent: &mut u32) {
        let head = session.req_header();
        let request = format!("{} {}", head.method, head.uri);
        if *sent > 1 {
            eprintln!("again: {request}: sent {sent} times");
        }
        if let Some(error) = error {
            // Without the context, which repeats the peer and takes several lines.
            eprintln!(
                "failed: {}: {} {}",
                request,
                error.esource().as_str(),
                error.etype().as_str()
            );
        }
    }
}
