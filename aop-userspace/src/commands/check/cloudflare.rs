//! The files that `aop cloudflare` would use: the token, the CA and its key. Nobody is asked.

use std::{fs, path::Path};

use aop_api::{CheckedCa, CheckedCloudflare, days_until};
use aop_ca::describe;
use aop_cloudflare::{find_token, token_place};
use aop_config::Config;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{
    commands::ca::is_guarded,
    output::{count, date, error_chain},
};

const DAY: u64 = 24 * 3600;

/// The files that `[cloudflare]` of `config` would use; `None` if it names no token and renews
/// nothing.
pub(super) fn checked(config: &Config) -> Option<CheckedCloudflare> {
    let settings = &config.cloudflare;
    if settings.token_file.is_none() && settings.renew.is_none() {
        return None;
    }
    Some(CheckedCloudflare {
        token: token_place(settings),
        token_error: find_token(settings).err().map(|error| error.to_string()),
        renew_days: settings.renew.map(|renew| renew.as_secs() / DAY),
        ca: ca_of(config, Timestamp::now()),
    })
}

/// The CA that signs leaves for Cloudflare.
pub(in crate::commands) fn ca_of(config: &Config, now: Timestamp) -> CheckedCa {
    checked_ca(&config.cloudflare.ca, &config.cloudflare.ca_key, now)
}

fn checked_ca(file: &Path, key_file: &Path, now: Timestamp) -> CheckedCa {
    let mut checked = CheckedCa {
        file: file.display().to_string(),
        key_file: key_file.display().to_string(),
        encrypted: false,
        not_after: None,
        error: None,
    };
    checked.error = look(&mut checked, file, key_file, now).err();
    checked
}

fn look(
    checked: &mut CheckedCa,
    file: &Path,
    key_file: &Path,
    now: Timestamp,
) -> Result<(), String> {
    let described = |file: &Path| {
        let text = fs::read(file).map(Zeroizing::new);
        let text = text.map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
        describe(&text, now).map_err(|error| format!("{}: {error}", file.display()))
    };
    let certificates = described(file)?.certificates;
    let Some(ca) = certificates.iter().find(|it| it.inspected.is_ca) else {
        return Err(format!("{}: it has no CA", file.display()));
    };
    let identity = &ca.inspected.identity;
    let end = aop_api::timestamp(identity.not_after);
    checked.not_after = Some(end);
    let keys = described(key_file)?.keys;
    let Some(key) = keys.first() else {
        return Err(format!("{}: it has no private key", key_file.display()));
    };
    checked.encrypted = key.encrypted;
    is_guarded(key_file).map_err(|error| error_chain(&error))?;
    if let Some(error) = &key.error {
        return Err(format!("{}: {error}", key_file.display()));
    }
    if key.spki_sha256.as_ref().is_some_and(|spki| *spki != identity.spki_sha256) {
        return Err(format!("{}: it is not the key of {}", key_file.display(), file.display()));
    }
    match days_until(end, now) {
        ..0 => Err(format!("{}: this CA has expired", file.display())),
        days @ 0..90 => Err(format!(
            "{}: this CA ends in {days} days, and a leaf ends with it at the latest; make a new \
             one (`aop ca create`), and roll to it",
            file.display()
        )),
        _ => Ok(()),
    }
}

/// The mistakes of these files.
pub(super) fn warnings(checked: &CheckedCloudflare) -> Vec<String> {
    let errors = checked.token_error.iter().chain(&checked.ca.error);
    errors.map(|error| format!("cloudflare: {error}")).collect()
}

/// The files, for people.
pub(super) fn lines(checked: &CheckedCloudflare) -> Vec<String> {
    let CheckedCloudflare { token, renew_days, ca, .. } = checked;
    let token = token.as_deref().map_or("no token".to_owned(), |place| format!("token {place}"));
    let renew = match renew_days.map(usize::try_from) {
        Some(Ok(days)) => format!("renews {} before the end", count(days, "day")),
        Some(Err(_)) | None => "renews nothing by itself".to_owned(),
    };
    let CheckedCa { file, key_file, encrypted, not_after, .. } = ca;
    let end = not_after.map_or(String::new(), |end| format!(", to {}", date(end)));
    let locked = if *encrypted { " (under a passphrase)" } else { "" };
    vec![
        format!("cloudflare ({renew})"),
        format!("  {token}"),
        format!("  CA {file}{end}"),
        format!("  key {key_file}{locked}"),
    ]
}
