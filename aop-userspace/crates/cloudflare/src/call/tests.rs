//! Each call is held to the API as Cloudflare publishes it.

use serde_json::{Value, json};

use super::*;

fn zone() -> ZoneId {
    "023e105f4ecef8ad9ca31a8372d0c353".parse().expect("an id")
}

fn id() -> CertificateId {
    "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60".parse().expect("an id")
}

fn host(name: &str) -> Host {
    name.parse().expect("a host")
}

fn pair() -> CertificateAndKey {
    CertificateAndKey {
        certificate: "-----BEGIN CERTIFICATE-----\nMIIB\n".to_owned(),
        private_key: Zeroizing::new("-----BEGIN PRIVATE KEY-----\r\n\t\"\\\u{1}\n".to_owned())
            .into(),
    }
}

/// Call, method, path below the zone's origin_tls_client_auth, body; from Cloudflare's reference.
#[test]
fn each_call_is_the_published_one() {
    use CertificateLevel::{Host as HostLevel, Zone as ZoneLevel};
    let change =
        |name: &str, enabled| AssociationChange { host: host(name), certificate: id(), enabled };
    let zone_path = format!("/zones/{}", zone());
    let auth = format!("{zone_path}/origin_tls_client_auth");
    let cert = id();
    let table: Vec<(Call, &str, String, Option<Value>)> = vec![
        (Call::VerifyToken, "GET", "/user/tokens/verify".into(), None),
        (Call::Zones { name: host("Example.com.") }, "GET", "/zones?name=example.com".into(), None),
        (Call::SslMode { zone: zone() }, "GET", format!("{zone_path}/settings/ssl"), None),
        (
            Call::GlobalSwitch { zone: zone() },
            "GET",
            format!("{zone_path}/settings/tls_client_auth"),
            None,
        ),
        (
            Call::SetGlobal { zone: zone(), on: true },
            "PATCH",
            format!("{zone_path}/settings/tls_client_auth"),
            Some(json!({"value": "on"})),
        ),
        (
            Call::SetGlobal { zone: zone(), on: false },
            "PATCH",
            format!("{zone_path}/settings/tls_client_auth"),
            Some(json!({"value": "off"})),
        ),
        (Call::ZoneSwitch { zone: zone() }, "GET", format!("{auth}/settings"), None),
        (
            Call::SetZone { zone: zone(), on: true },
            "PUT",
            format!("{auth}/settings"),
            Some(json!({"enabled": true})),
        ),
        (
            Call::SetZone { zone: zone(), on: false },
            "PUT",
            format!("{auth}/settings"),
            Some(json!({"enabled": false})),
        ),
        (
            Call::Certificates { zone: zone(), level: ZoneLevel, page: 1 },
            "GET",
            format!("{auth}?page=1&per_page=50"),
            None,
        ),
        (
            Call::Certificates { zone: zone(), level: HostLevel, page: 2 },
            "GET",
            format!("{auth}/hostnames/certificates?page=2&per_page=50"),
            None,
        ),
        (
            Call::Certificate { zone: zone(), level: ZoneLevel, id: id() },
            "GET",
            format!("{auth}/{cert}"),
            None,
        ),
        (
            Call::Certificate { zone: zone(), level: HostLevel, id: id() },
            "GET",
            format!("{auth}/hostnames/certificates/{cert}"),
            None,
        ),
        (
            Call::Upload { zone: zone(), level: ZoneLevel, pair: pair() },
            "POST",
            auth.clone(),
            Some(json!({
                "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n",
                "private_key": "-----BEGIN PRIVATE KEY-----\r\n\t\"\\ \n",
            })),
        ),
        (
            Call::Upload { zone: zone(), level: HostLevel, pair: pair() },
            "POST",
            format!("{auth}/hostnames/certificates"),
            Some(json!({
                "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n",
                "private_key": "-----BEGIN PRIVATE KEY-----\r\n\t\"\\ \n",
            })),
        ),
        (
            Call::Delete { zone: zone(), level: ZoneLevel, id: id() },
            "DELETE",
            format!("{auth}/{cert}"),
            None,
        ),
        (
            Call::Delete { zone: zone(), level: HostLevel, id: id() },
            "DELETE",
            format!("{auth}/hostnames/certificates/{cert}"),
            None,
        ),
        (
            Call::Associate {
                zone: zone(),
                hosts: vec![
                    change("a.example.com", Some(true)),
                    change("b.example.com", Some(false)),
                    change("c.example.com", None),
                ],
            },
            "PUT",
            format!("{auth}/hostnames"),
            Some(json!({"config": [
                {"hostname": "a.example.com", "cert_id": cert.as_str(), "enabled": true},
                {"hostname": "b.example.com", "cert_id": cert.as_str(), "enabled": false},
                {"hostname": "c.example.com", "cert_id": cert.as_str(), "enabled": null},
            ]})),
        ),
        (
            Call::Association { zone: zone(), host: host("a.example.com") },
            "GET",
            format!("{auth}/hostnames/a.example.com"),
            None,
        ),
    ];
    for (call, method, path, body) in table {
        let http = call.http();
        assert_eq!((http.method.name(), &http.path), (method, &path), "{call:?}");
        let sent =
            http.body.as_ref().map(|body| serde_json::from_str(body.expose()).expect("JSON"));
        assert_eq!(sent, body, "{call:?}");
        assert_eq!(call.changes(), method != "GET", "{call:?}");
        assert_eq!(call.to_string(), format!("{method} {path}"));
        assert!(!format!("{http:?}{call:?}").contains("PRIVATE"), "{call:?}");
        let sent = serde_json::to_string(&call).expect("a message");
        assert_eq!(serde_json::from_str::<Call>(&sent).expect("the same"), call);
    }
}

#[test]
fn an_identifier_cannot_change_the_path() {
    for text in ["", ".", "..", "a/b", "a?b", "a#b", "a b", "a%2fb", "a\n", "ä", &"a".repeat(65)] {
        text.parse::<ZoneId>().expect_err(text);
        text.parse::<CertificateId>().expect_err(text);
        serde_json::from_value::<CertificateId>(json!(text)).expect_err(text);
    }
    assert_eq!(id().to_string(), "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60");
}
