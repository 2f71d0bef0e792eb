//! The file of an edge: one `KEY VALUE` in a line.
//!
//! | key | value |
//! |---|---|
//! | `listen` | the address for visitors |
//! | `origin` | the address of the origin |
//! | `sni` | the server name. Without it, the edge speaks HTTP/1.1 without TLS to the origin |
//! | `ca` | the file of the CAs of the origin's certificate |
//! | `certificate`, `key` | the files of the client certificate, leaf first, and of its key |
//! | `alpn` | `h1`, or `h2` to offer both |

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use pingora::tls::pkey::{PKey, Private};
use pingora::tls::x509::X509;

/// A file that has been read.
pub(crate) struct Settings {
    pub(crate) listen: String,
    pub(crate) origin: Origin,
}

/// The server behind the edge.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<OriginTls>,
}

/// TLS to the origin.
pub(crate) struct OriginTls {
    pub(crate) sni: String,
    pub(crate) ca: Vec<X509>,
    pub(crate) certificates: Vec<X509>,
    pub(crate) key: PKey<Private>,
    pub(crate) protocol: Protocol,
}

/// The protocol to the origin.
pub(crate) enum Protocol {
    Http1,
    /// HTTP/2, and HTTP/1.1 if the origin does not know it.
    Http2,
}

impl Settings {
    /// Reads and checks the file. An error says what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let mut lines = Lines(text.lines().filter_map(|line| line.split_once(' ')).collect());
        let listen = lines.must_have("listen")?.to_owned();
        let address = lines.must_have("origin")?;
        let address = address.parse().map_err(|why| format!("origin {address}: {why}"))?;
        let tls = match lines.0.remove("sni") {
            Some(sni) => Some(OriginTls::read(sni, &mut lines)?),
            None => None,
        };
        match lines.0.keys().next() {
            Some(unknown) => Err(format!("there is no key {unknown} here")),
            None => Ok(Self { listen, origin: Origin { address, tls } }),
        }
    }
}

impl OriginTls {
    fn read(sni: &str, lines: &mut Lines<'_>) -> Result<Self, String> {
        let certificates = |path: &str| {
            let read = X509::stack_from_pem(&bytes(path)?);
            read.map_err(|why| format!("{path}: {why}"))
        };
        let key = lines.must_have("key")?;
        Ok(Self {
            sni: sni.to_owned(),
            ca: certificates(lines.must_have("ca")?)?,
            certificates: certificates(lines.must_have("certificate")?)?,
            key: PKey::private_key_from_pem(&bytes(key)?).map_err(|why| format!("{key}: {why}"))?,
            protocol: match lines.must_have("alpn")? {
                "h1" => Protocol::Http1,
                "h2" => Protocol::Http2,
                other => return Err(format!("alpn {other}: neither h1 nor h2")),
            },
        })
    }
}

fn bytes(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|why| format!("{path}: {why}"))
}

/// Keys and values that nothing has used yet.
struct Lines<'a>(HashMap<&'a str, &'a str>);

impl<'a> Lines<'a> {
    fn must_have(&mut self, key: &str) -> Result<&'a str, String> {
        self.0.remove(key).ok_or_else(|| format!("the key {key} is missing"))
    }
}
