//! The certificates that were presented, kept over restarts in `identities.json`.
//!
//! A damaged file is told and ignored: what it held was for the operator's eyes, and decides nothing.

use std::{io, path::Path};

use aop_api::Identities;

const NAME: &str = "identities.json";

/// More than any terminator tells that keeps to its bounds, and less than would keep the next one
/// from being told.
const LONGEST: usize = 32 * 1024 * 1024;

/// What an earlier run has kept in `state`; nothing where there is none.
///
/// # Errors
/// The file is there and cannot be used, in words.
pub fn load(state: &Path) -> Result<Identities, String> {
    let told = |what: &str, error: String| {
        format!(
            "{}: {what}: {error}; the client certificates seen before are forgotten",
            state.join(NAME).display()
        )
    };
    match aop_storage::read(state, NAME) {
        Err(error) => Err(told("cannot be read", error.to_string())),
        Ok(None) => Ok(Identities::default()),
        Ok(Some(text)) => {
            serde_json::from_slice(&text).map_err(|error| told("is damaged", error.to_string()))
        }
    }
}

/// Keeps `identities` in the directory `state`.
///
/// # Errors
/// The directory or the file cannot be written, or it would be too long. What was there stays.
pub(super) fn save(state: &Path, identities: &Identities) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(identities)?;
    text.push(b'\n');
    if text.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than any terminator sees"));
    }
    aop_storage::write(state, NAME, &text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aop_api::{Identity, SiteIdentities, timestamp};

    use super::*;

    fn identities(subject: &str) -> Identities {
        let identity = Identity {
            site: "a.test".into(),
            subject: subject.into(),
            issuer: "CN=ca".into(),
            spki_sha256: "00".into(),
            serial: "01".into(),
            not_before: timestamp(1),
            not_after: timestamp(2_000_000_000),
            level: "own".into(),
            client_ca: Some("/ca.pem".into()),
            first_seen: timestamp(10),
            last_seen: timestamp(20),
            pulls: 3,
        };
        let site =
            SiteIdentities { site: "a.test".into(), identities: vec![identity], forgotten: 5 };
        Identities { sites: vec![site] }
    }

    #[test]
    fn what_was_kept_is_found_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("deep/state");
        assert_eq!(load(&state), Ok(Identities::default()));
        let kept = identities("CN=edge");
        save(&state, &kept).expect("saved");
        assert_eq!(load(&state), Ok(kept.clone()));
        save(&state, &identities(&"x".repeat(LONGEST))).expect_err("too long");
        assert_eq!(load(&state), Ok(kept), "what was there is gone");
    }

    #[test]
    fn a_file_cut_anywhere_is_named_and_not_half_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        save(dir.path(), &identities("CN=edge")).expect("saved");
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).expect("read");
        for end in 0..whole.len() - 1 {
            fs::write(&path, &whole[..end]).expect("written");
            let error = load(dir.path()).expect_err("refused");
            assert!(error.contains("identities.json") && error.contains("damaged"), "{error}");
        }
    }
}
