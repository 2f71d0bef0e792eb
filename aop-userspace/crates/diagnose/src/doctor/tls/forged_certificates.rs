//! Forged certificates: signed by a CA that has the name of the site's client CA, but another key.

use aop_tls::PresentedCertificate;
use aws_lc_rs::{
    error::Unspecified,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};

use super::der::{Content, certificate, common_name};

/// A CA with a chosen name and a key of its own.
pub(super) struct ForgedCa {
    name: Vec<u8>,
    key: EcdsaKeyPair,
}

/// The defect of a leaf, in addition to its wrong signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    Expired,
    Version1,
    Ca,
}

impl ForgedCa {
    /// A CA with this name, a DER sequence.
    pub(super) fn new(name: Vec<u8>) -> Result<Self, Unspecified> {
        Ok(Self { name, key: pair()?.1 })
    }

    /// A CA with a name that no site uses.
    pub(super) fn stranger() -> Result<Self, Unspecified> {
        Self::new(common_name("A Stranger's CA"))
    }

    /// A leaf that this CA signed, with its key.
    pub(super) fn leaf(&self, flaw: Flaw) -> Result<PresentedCertificate, Unspecified> {
        let (pkcs8, key) = pair()?;
        let subject = common_name("edge.example.com");
        let leaf = self.sign(&Content {
            issuer: &self.name,
            subject: &subject,
            key: key.public_key().as_ref(),
            years: (20, if flaw == Flaw::Expired { 21 } else { 49 }),
            ca: flaw == Flaw::Ca,
            modern: flaw != Flaw::Version1,
        })?;
        presented(leaf, pkcs8)
    }

    fn sign(&self, content: &Content<'_>) -> Result<Vec<u8>, Unspecified> {
        let unsigned = content.unsigned();
        let signature = self.key.sign(&SystemRandom::new(), &unsigned)?;
        Ok(certificate(&unsigned, signature.as_ref()))
    }

    /// The certificate of this CA.
    fn own(&self) -> Result<Vec<u8>, Unspecified> {
        self.sign(&Content {
            issuer: &self.name,
            subject: &self.name,
            key: self.key.public_key().as_ref(),
            years: (20, 49),
            ca: true,
            modern: true,
        })
    }
}

/// A self-signed certificate with the name of a CA.
pub(super) fn self_signed(name: Vec<u8>) -> Result<PresentedCertificate, Unspecified> {
    let (pkcs8, key) = pair()?;
    let forged = ForgedCa { name, key };
    presented(forged.own()?, pkcs8)
}

fn pair() -> Result<(Vec<u8>, EcdsaKeyPair), Unspecified> {
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())?;
    let pkcs8 = pkcs8.as_ref().to_vec();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).map_err(|_| Unspecified)?;
    Ok((pkcs8, key))
}

fn presented(leaf: Vec<u8>, pkcs8: Vec<u8>) -> Result<PresentedCertificate, Unspecified> {
    PresentedCertificate::from_der(leaf, pkcs8).map_err(|_| Unspecified)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use aop_config::Config;
    use aop_tls::{SiteFiles, Sites};
    use aop_types::Refusal;

    use super::*;

    /// How a site with the client CA `ca` refuses each leaf.
    fn refusals(ca: &[u8], leaves: &[PresentedCertificate]) -> Vec<Option<Refusal>> {
        let server = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a pair");
        let ca = aop_tls::testing::pem("CERTIFICATE", ca);
        let files = [
            ("s.pem", server.cert.pem()),
            ("s.key", server.signing_key.serialize_pem()),
            ("ca.pem", ca),
        ];
        let text = "[[listener]]\nbind = [\"127.0.0.1:443\"]\n[[site]]\nhosts = [\"a.test\"]\n\
             certificate = \"/s.pem\"\nkey = \"/s.key\"\nclient_ca = [\"/ca.pem\"]\n\
             upstream = \"tcp://127.0.0.1:1\"\n";
        let config = Config::parse(&PathBuf::from("/aop.toml"), text).expect("a configuration");
        let file = |(name, text): (&str, String)| {
            (PathBuf::from(format!("/{name}")), text.into_bytes().into())
        };
        let files = SiteFiles::handed_over(files.map(file));
        let (sites, _) = Sites::build(&config.live.sites, &files).expect("a site");
        let site = sites.find(&"a.test".parse().expect("a host")).expect("the site");
        leaves.iter().map(|it| site.refusal_of(it).map(|it| it.refusal)).collect()
    }

    #[test]
    fn a_forged_leaf_is_refused_only_for_its_flaw_or_its_signer() {
        let name = common_name("Client CA");
        let forged = ForgedCa::new(name.clone()).expect("a forged");
        let flaws = [Flaw::None, Flaw::Expired, Flaw::Version1, Flaw::Ca];
        let leaves = flaws.map(|flaw| forged.leaf(flaw).expect("a leaf"));
        let refusals_of = |ca: &ForgedCa| refusals(&ca.own().expect("a CA"), &leaves);
        let own = [
            None,
            Some(Refusal::Expired),
            Some(Refusal::CertificateVersion),
            Some(Refusal::CaAsLeaf),
        ];
        assert_eq!(refusals_of(&forged), own);
        let namesake = ForgedCa::new(name).expect("another");
        assert_eq!(refusals_of(&namesake)[0], Some(Refusal::BadCertificate));
        assert_eq!(
            refusals_of(&ForgedCa::stranger().expect("a stranger"))[0],
            Some(Refusal::UnknownCa)
        );
    }
}
