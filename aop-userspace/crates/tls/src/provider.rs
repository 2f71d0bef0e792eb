//! The cryptography of this process.

use rustls::crypto::aws_lc_rs;

/// Makes aws-lc the cryptography of every TLS connection that names none, for the fetch process.
/// Has no effect if a provider is installed already.
pub fn install_default_provider() {
    aws_lc_rs::default_provider().install_default().ok();
}

#[cfg(test)]
mod tests {
    use rustls::crypto::CryptoProvider;

    use super::*;

    #[test]
    fn after_the_installation_every_connection_has_cryptography() {
        for _ in 0..2 {
            install_default_provider();
            assert!(CryptoProvider::get_default().is_some());
        }
    }
}
