//! Whether a site would accept Cloudflare's global certificate. Nobody here has that leaf, so its
//! rules are looked at, and not the leaf.

use aop_config::{CertificateRules, ClientCa, SiteConfig};

/// Why `site` would refuse Cloudflare's global certificate.
pub(super) fn refusal_of_global(site: &SiteConfig) -> Option<String> {
    if !site.client_ca.contains(&ClientCa::CloudflareGlobal) {
        return Some("client_ca does not have cloudflare-global".to_owned());
    }
    let CertificateRules { san, cn, pins, key, revocation, expired_ca: _, resumption: _ } =
        &site.rules;
    let of_own = [
        ("require_san", !san.is_empty()),
        ("require_cn", cn.is_some()),
        ("spki_pins", !pins.is_empty()),
        ("require_key", key.is_some()),
        // Cloudflare publishes no list of its global CA.
        ("crl", !revocation.files.is_empty()),
    ];
    let of_own: Vec<&str> = of_own.into_iter().filter(|it| it.1).map(|it| it.0).collect();
    (!of_own.is_empty()).then(|| {
        format!(
            "its rules are for a certificate of your own, and may refuse the global one: remove {}",
            of_own.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use aop_config::Config;

    use super::*;

    fn refusal(lines: &str) -> Option<String> {
        let text = format!(
            "[[listener]]\nbind = [\"0.0.0.0:443\"]\n[[site]]\nhosts = [\"example.com\"]\n\
             certificate = \"server.pem\"\nkey = \"server.key\"\nupstream = \
             \"http://127.0.0.1:8080\"\n{lines}\n"
        );
        let config = Config::parse("aop.toml".as_ref(), &text).expect(&text);
        refusal_of_global(&config.live.sites[0])
    }

    #[test]
    fn every_rule_that_the_global_certificate_may_break_is_named() {
        let trusting = "client_ca = [\"pull-ca.pem\", \"cloudflare-global\"]\n";
        assert_eq!(refusal(trusting), None);
        let lacking = refusal("client_ca = [\"pull-ca.pem\"]").expect("a refusal");
        assert!(lacking.contains("does not have cloudflare-global"), "{lacking}");
        let pin = "spki_pins = [\"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]";
        for (name, rule) in [
            ("require_san", "require_san = [\"dns:pulls.example.com\"]"),
            ("require_cn", "require_cn = \"pulls.example.com\""),
            ("spki_pins", pin),
            ("require_key", "require_key = \"ml-dsa\""),
            ("crl", "crl = [\"list.pem\"]"),
        ] {
            let refused = refusal(&format!("{trusting}{rule}")).expect(name);
            assert!(refused.ends_with(&format!("remove {name}")), "{refused}");
        }
    }
}
