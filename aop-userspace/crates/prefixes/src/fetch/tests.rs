use std::{net::TcpListener, sync::Arc, thread};

use rustls::{
    ServerConfig, ServerConnection,
    crypto::{CryptoProvider, aws_lc_rs},
};

use super::*;

#[test]
fn a_certificate_of_no_public_ca_is_refused() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned()];
    let own = rcgen::CertificateParams::new(names).and_then(|own| own.self_signed(&key));
    let provider = Arc::new(aws_lc_rs::default_provider());
    CryptoProvider::clone(&provider).install_default().expect("the first of this process");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![own.expect("a certificate").into()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut tls = ServerConnection::new(Arc::new(config)).expect("a server");
        tls.complete_io(&mut stream).expect_err("the client hangs up");
    });
    let error = get(&url.parse().expect("a URL"), None, 1024).expect_err("refused").to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    server.join().expect("the server ends");
}
