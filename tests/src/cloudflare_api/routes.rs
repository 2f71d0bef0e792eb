//! The routes: what each call does, and what it answers.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::http::HttpResponse;
use super::state::{ApiState, HostAssociation, Scope, StoredCertificate, ZoneState};
use super::{ReceivedCall, uploads};

/// The most hosts for one certificate.
const MOST_HOSTS: usize = 100;

type Answer = Result<Value, HttpResponse>;

/// Answers a call, and carries it out.
pub(super) fn answer(call: &ReceivedCall, state: &mut ApiState) -> HttpResponse {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let query: BTreeMap<&str, &str> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let answered = match segments.as_slice() {
        ["user", "tokens", "verify"] => verify(call, state),
        ["zones"] => zones(call, state, query.get("name").copied()),
        ["zones", zone, "settings", name] => setting(call, state, zone, name),
        ["zones", zone, "origin_tls_client_auth", rest @ ..] => {
            origin_pulls(call, state, zone, rest, &query)
        }
        _ => Err(HttpResponse::refusal(404, 7000, "No route for that URI")),
    };
    match answered {
        Ok(mut body) => {
            body["success"] = json!(true);
            body["errors"] = json!([]);
            body["messages"] = json!([]);
            HttpResponse::json(200, &body)
        }
        Err(refusal) => refusal,
    }
}

fn result(result: &Value) -> Answer {
    Ok(json!({ "result": result }))
}

fn refuse<T>(status: u16, code: i64, message: &str) -> Result<T, HttpResponse> {
    Err(HttpResponse::refusal(status, code, message))
}

fn not_found<T>() -> Result<T, HttpResponse> {
    refuse(404, 1490, "The object was not found")
}

fn method_not_allowed() -> Answer {
    refuse(405, 10405, "Method not allowed for this authentication scheme")
}

/// The account of the token, if it has one of these permissions.
fn authorized(
    call: &ReceivedCall,
    state: &ApiState,
    any: &[Scope],
) -> Result<String, HttpResponse> {
    let Some(text) = call.authorization.as_deref().and_then(|it| it.strip_prefix("Bearer ")) else {
        return refuse(400, 6003, "Invalid request headers");
    };
    match state.tokens.iter().find(|token| token.text == text && token.active) {
        None => refuse(403, 9109, "Invalid access token"),
        Some(token) if any.iter().any(|scope| token.scopes.contains(scope)) => {
            Ok(token.account.clone())
        }
        Some(_) => refuse(403, 10000, "Authentication error"),
    }
}

/// The zone, if the token may do this in it.
fn zone_of<'a>(
    call: &ReceivedCall,
    state: &'a mut ApiState,
    id: &str,
    any: &[Scope],
) -> Result<&'a mut ZoneState, HttpResponse> {
    let account = authorized(call, state, any)?;
    match state.zones.iter_mut().find(|zone| zone.id == id) {
        None => refuse(404, 7003, "Could not route, perhaps your object identifier is invalid?"),
        Some(zone) if zone.account != account => {
            refuse(403, 9109, "Unauthorized to access requested resource")
        }
        Some(zone) => Ok(zone),
    }
}

fn verify(call: &ReceivedCall, state: &ApiState) -> Answer {
    let Some(text) = call.authorization.as_deref().and_then(|it| it.strip_prefix("Bearer ")) else {
        return refuse(400, 6003, "Invalid request headers");
    };
    match state.tokens.iter().find(|token| token.text == text) {
        Some(token) => {
            let status = if token.active { "active" } else { "disabled" };
            result(&json!({ "id": "ed17574386854bf78a67040be0a770b0", "status": status }))
        }
        None => refuse(401, 1000, "Invalid API Token"),
    }
}

fn zones(call: &ReceivedCall, state: &ApiState, name: Option<&str>) -> Answer {
    let account = authorized(call, state, &[Scope::ZoneRead])?;
    let seen = state.zones.iter().filter(|zone| zone.account == account);
    let named = seen.filter(|zone| name.is_none_or(|name| zone.name == name));
    let list: Vec<Value> = named
        .map(|zone| {
            json!({"id": zone.id, "name": zone.name, "status": "active",
                   "account": {"id": zone.account, "name": zone.account}})
        })
        .collect();
    paged(list, 50, 1)
}

fn setting(call: &ReceivedCall, state: &mut ApiState, zone: &str, name: &str) -> Answer {
    let any: &[Scope] = match call.method.as_str() {
        "GET" => &[Scope::SettingsRead, Scope::SettingsEdit],
        _ => &[Scope::SettingsEdit],
    };
    let zone = zone_of(call, state, zone, any)?;
    let value = call.body.as_ref().map(|body| body["value"].as_str().unwrap_or_default());
    match (call.method.as_str(), name, value) {
        ("GET", _, _) => {}
        ("PATCH", "tls_client_auth", Some(value @ ("on" | "off"))) => zone.global = value == "on",
        ("PATCH", "ssl", Some(value)) => value.clone_into(&mut zone.ssl),
        ("PATCH", _, _) => return refuse(400, 1007, "Invalid value for zone setting"),
        _ => return method_not_allowed(),
    }
    let value = match name {
        "ssl" => zone.ssl.as_str(),
        "tls_client_auth" if zone.global => "on",
        "tls_client_auth" => "off",
        _ => return refuse(400, 1006, "Undefined zone setting"),
    };
    result(&json!({"id": name, "value": value, "editable": true}))
}

fn origin_pulls(
    call: &ReceivedCall,
    state: &mut ApiState,
    zone: &str,
    rest: &[&str],
    query: &BTreeMap<&str, &str>,
) -> Answer {
    let method = call.method.as_str();
    let any: &[Scope] = match method {
        "GET" => &[Scope::SslRead, Scope::SslEdit],
        _ => &[Scope::SslEdit],
    };
    zone_of(call, state, zone, any)?;
    let (of_hosts, rest) = match rest {
        ["hostnames", "certificates", rest @ ..] => (true, rest),
        ["hostnames"] if method == "PUT" => return associate(call, state, zone),
        ["hostnames", host] if method == "GET" => return association(state, zone, host),
        ["hostnames", ..] => return method_not_allowed(),
        ["settings"] => return switch(call, state, zone, any),
        rest => (false, rest),
    };
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (page, now) = (number("page").unwrap_or(1), Instant::now());
    let per_page = number("per_page").unwrap_or(50).clamp(1, state.page_size);
    match (method, rest) {
        ("POST", []) => upload(call, state, zone, of_hosts),
        ("GET", []) => {
            let zone = zone_of(call, state, zone, any)?;
            let listed =
                zone.certificates.iter().filter(|it| it.of_hosts == of_hosts && it.is_listed(now));
            paged(listed.map(|it| described(it, now)).collect(), per_page, page)
        }
        ("GET" | "DELETE", [id]) => {
            let zone = zone_of(call, state, zone, any)?;
            let in_use = of_hosts
                && latest(zone)
                    .into_values()
                    .any(|it| it.certificate == *id && it.enabled.is_some());
            let found = zone.certificates.iter_mut();
            let found = found.filter(|it| it.of_hosts == of_hosts && it.status(now).is_some());
            let Some(found) = found.into_iter().find(|it| it.id == *id) else { return not_found() };
            if method == "DELETE" {
                if in_use {
                    let text = "The certificate is still associated with a hostname";
                    return refuse(400, 1408, text);
                }
                found.deleted.get_or_insert(now);
            }
            result(&described(found, now))
        }
        _ => method_not_allowed(),
    }
}

fn paged(list: Vec<Value>, per_page: usize, page: usize) -> Answer {
    let total = list.len();
    let shown: Vec<Value> =
        list.into_iter().skip(page.saturating_sub(1) * per_page).take(per_page).collect();
    let info = json!({"page": page, "per_page": per_page, "count": shown.len(),
                      "total_count": total, "total_pages": total.div_ceil(per_page)});
    Ok(json!({ "result": shown, "result_info": info }))
}

fn described(stored: &StoredCertificate, now: Instant) -> Value {
    let (issuer, serial, end) = uploads::facts(&stored.certificate).unwrap_or_default();
    let expires_on = jiff::Timestamp::from_second(end).unwrap_or_default();
    let mut described = json!({
        "id": stored.id, "certificate": stored.certificate, "issuer": issuer,
        "signature": "ECDSAWithSHA256", "status": stored.status(now).unwrap_or("deleted"),
        "expires_on": expires_on, "uploaded_on": stored.uploaded_on,
    });
    match stored.of_hosts {
        true => described["serial_number"] = json!(serial),
        false => described["enabled"] = json!(true),
    }
    described
}

fn upload(call: &ReceivedCall, state: &mut ApiState, zone: &str, of_hosts: bool) -> Answer {
    let field = |name: &str| call.body.as_ref().and_then(|body| body[name].as_str());
    let (Some(certificate), Some(key)) = (field("certificate"), field("private_key")) else {
        return refuse(400, 1400, "Unable to decode the JSON request body");
    };
    if let Err((code, text)) = uploads::check(certificate, key) {
        return refuse(400, code, text);
    }
    let id = state.store(zone, of_hosts, certificate, key);
    let stored = state.zone(zone).and_then(|it| it.certificates.iter().find(|it| it.id == id));
    stored.map_or_else(not_found, |stored| result(&described(stored, Instant::now())))
}

fn switch(call: &ReceivedCall, state: &mut ApiState, zone: &str, any: &[Scope]) -> Answer {
    let zone = zone_of(call, state, zone, any)?;
    match (call.method.as_str(), call.body.as_ref().map(|body| body["enabled"].as_bool())) {
        ("GET", _) => {}
        ("PUT", Some(Some(on))) => zone.zone = on,
        ("PUT", _) => return refuse(400, 1400, "Unable to decode the JSON request body"),
        _ => return method_not_allowed(),
    }
    result(&json!({ "enabled": zone.zone }))
}

/// The last association of each host.
fn latest(zone: &ZoneState) -> BTreeMap<&str, &HostAssociation> {
    zone.associations.iter().map(|it| (it.host.as_str(), it)).collect()
}

fn associate(call: &ReceivedCall, state: &mut ApiState, zone: &str) -> Answer {
    let entries = call.body.as_ref().and_then(|body| body["config"].as_array()).cloned();
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
        return refuse(400, 1400, "Unable to decode the JSON request body");
    };
    let mut wanted = Vec::new();
    for entry in &entries {
        let (Some(host), Some(id)) = (entry["hostname"].as_str(), entry["cert_id"].as_str()) else {
            return refuse(400, 1420, "missing hostname");
        };
        wanted.push((host.to_owned(), id.to_owned(), entry["enabled"].as_bool()));
    }
    let Some(known) = state.zone(zone) else { return not_found() };
    for (host, id, _) in &wanted {
        let below = host == &known.name || host.ends_with(&format!(".{}", known.name));
        if !below {
            return refuse(400, 1421, "The hostname is not in this zone");
        }
        let now = Instant::now();
        let is_it = |it: &&StoredCertificate| it.of_hosts && it.id == *id;
        if known.certificates.iter().find(is_it).is_none_or(|it| it.status(now).is_none()) {
            return refuse(400, 1422, "The certificate was not found");
        }
        let others = latest(known).into_values().filter(|it| {
            it.certificate == *id
                && it.enabled.is_some()
                && !wanted.iter().any(|new| new.0 == it.host)
        });
        let new = wanted.iter().filter(|(_, of, enabled)| of == id && enabled.is_some());
        if others.count() + new.count() > MOST_HOSTS {
            return refuse(400, 1423, "A certificate can have at most 100 hostnames");
        }
    }
    for (host, id, enabled) in &wanted {
        state.associate(zone, host, id, *enabled);
    }
    let Some(zone) = state.zone(zone) else { return not_found() };
    let now = Instant::now();
    let told = wanted.iter().filter_map(|(host, _, _)| told(zone, host, now));
    result(&told.collect())
}

fn told(zone: &ZoneState, host: &str, now: Instant) -> Option<Value> {
    let association = *latest(zone).get(host)?;
    let stored = zone.certificates.iter().find(|it| it.id == association.certificate)?;
    Some(json!({
        "hostname": host, "cert_id": association.certificate, "enabled": association.enabled,
        "status": association.status(now), "cert_status": stored.status(now),
        "expires_on": described(stored, now)["expires_on"],
    }))
}

fn association(state: &mut ApiState, zone: &str, host: &str) -> Answer {
    let Some(zone) = state.zone(zone) else { return not_found() };
    let is_void = latest(zone).get(host).is_none_or(|it| it.enabled.is_none());
    if is_void {
        return not_found();
    }
    told(zone, host, Instant::now()).map_or_else(not_found, |told| result(&told))
}
