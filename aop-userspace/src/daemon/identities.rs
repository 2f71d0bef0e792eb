//! The certificates that were presented, kept over restarts in `identities.json`.
//!
//! Written beside its name and renamed. A damaged file is said and ignored: what it held was for the
//! operator's eyes, and decides nothing.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use jiff::Timestamp;

use crate::{
    control::{Identities, Identity, SiteIdentities, timestamp},
    terminator::{LedgerSnapshot, Sighting},
    tls::{self, Level, Voucher},
};

const NAME: &str = "identities.json";

/// What an earlier run has kept in `state`; nothing where there is none.
///
/// # Errors
/// The file is there and cannot be used, in words.
pub(crate) fn load(state: &Path) -> Result<Identities, String> {
    let path = state.join(NAME);
    let told = |what: &str, error: String| {
        format!(
            "{}: {what}: {error}; the client certificates seen before are forgotten",
            path.display()
        )
    };
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Identities::default()),
        Err(error) => Err(told("cannot be read", error.to_string())),
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|error| told("is damaged", error.to_string()))
        }
    }
}

/// Keeps `identities` in the directory `state`.
///
/// # Errors
/// The directory or the file cannot be written. What was there stays.
pub(super) fn save(state: &Path, identities: &Identities) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(state)?;
    let mut text = serde_json::to_vec_pretty(identities)?;
    text.push(b'\n');
    // The instance lock is held: nobody else writes here.
    let temporary = state.join(".identities.json.new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&temporary, state.join(NAME))?;
    File::open(state)?.sync_all()
}

/// What the ledger has of `sites`.
pub(super) fn of(ledger: &LedgerSnapshot, sites: &[String]) -> Identities {
    let site = |site: &String| SiteIdentities {
        site: site.clone(),
        identities: ledger
            .identities
            .iter()
            .filter(|sighting| *sighting.site == **site)
            .map(identity)
            .collect(),
        forgotten: ledger
            .forgotten
            .iter()
            .find(|(name, _)| **name == **site)
            .map_or(0, |(_, count)| *count),
    };
    Identities { sites: sites.iter().map(site).collect() }
}

/// A sighting as documents show it.
pub(super) fn identity(sighting: &Sighting) -> Identity {
    let Sighting { site, identity, voucher, first_seen, last_seen, pulls } = sighting.clone();
    let level = voucher.as_ref().map_or("unknown", |voucher| voucher.level.name());
    Identity {
        site: site.to_string(),
        subject: identity.subject,
        issuer: identity.issuer,
        spki_sha256: identity.spki_sha256,
        serial: identity.serial,
        not_before: timestamp(identity.not_before),
        not_after: timestamp(identity.not_after),
        level: level.to_owned(),
        client_ca: voucher.map(|voucher| voucher.name),
        first_seen: timestamp(first_seen),
        last_seen: timestamp(last_seen),
        pulls,
    }
}

/// What of `identities` is about one of `sites`, for the ledger to go on with.
pub(super) fn recalled(identities: Identities, sites: &[String]) -> Vec<Sighting> {
    let known = identities.sites.into_iter().filter(|known| sites.contains(&known.site));
    known.flat_map(|site| site.identities).map(sighting).collect()
}

fn sighting(identity: Identity) -> Sighting {
    let level = match identity.level.as_str() {
        "global" => Some(Level::Global),
        "own" => Some(Level::Own),
        _ => None,
    };
    let voucher = level.zip(identity.client_ca).map(|(level, name)| Voucher { name, level });
    Sighting {
        site: identity.site.into(),
        voucher,
        first_seen: seconds(identity.first_seen),
        last_seen: seconds(identity.last_seen),
        pulls: identity.pulls,
        identity: tls::Identity {
            subject: identity.subject,
            issuer: identity.issuer,
            serial: identity.serial,
            spki_sha256: identity.spki_sha256,
            not_before: seconds(identity.not_before),
            not_after: seconds(identity.not_after),
        },
    }
}

fn seconds(time: Timestamp) -> u64 {
    time.as_second().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(site: &str, serial: &str, voucher: Option<Voucher>) -> Sighting {
        Sighting {
            site: site.into(),
            identity: tls::Identity {
                subject: "CN=edge".into(),
                issuer: "CN=ca".into(),
                serial: serial.into(),
                spki_sha256: "00".into(),
                not_before: 1,
                not_after: 2_000_000_000,
            },
            voucher,
            first_seen: 10,
            last_seen: 20,
            pulls: 3,
        }
    }

    #[test]
    fn what_was_kept_is_recalled_for_the_sites_that_are_still_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("deep/state");
        assert_eq!(load(&state), Ok(Identities::default()));
        let voucher = Voucher { name: "cloudflare-global".into(), level: Level::Global };
        let ledger = LedgerSnapshot {
            identities: vec![seen("a.test", "01", Some(voucher)), seen("b.test", "02", None)],
            forgotten: vec![("b.test".into(), 5)],
            ..LedgerSnapshot::default()
        };
        let sites = ["a.test".to_owned(), "b.test".to_owned()];
        let identities = of(&ledger, &sites);
        assert_eq!(identities.sites[1].forgotten, 5);
        save(&state, &identities).expect("saved");
        let found = load(&state).expect("read");
        assert_eq!(found, identities);
        assert_eq!(recalled(found.clone(), &sites), ledger.identities);
        assert_eq!(recalled(found, &sites[1..]), ledger.identities[1..]);
        assert_eq!(fs::read_dir(&state).expect("read").count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_file_cut_anywhere_is_named_and_not_half_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = LedgerSnapshot {
            identities: vec![seen("a.test", "01", None)],
            ..LedgerSnapshot::default()
        };
        save(dir.path(), &of(&ledger, &["a.test".to_owned()])).expect("saved");
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).expect("read");
        for end in 0..whole.len() - 1 {
            fs::write(&path, &whole[..end]).expect("written");
            let error = load(dir.path()).expect_err("refused");
            assert!(error.contains("identities.json") && error.contains("damaged"), "{error}");
        }
    }
}
