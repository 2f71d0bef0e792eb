//! Stores the client certificates that peers presented in `identities.json`, over restarts. Nothing
//! is decided by them, so a damaged file is reported and ignored.

use std::{io, path::Path};

use aop_api::SeenIdentities;

const NAME: &str = "identities.json";

/// Greatest size of the file. A terminator within its bounds reports less. It is also less than the
/// most that a message to the next terminator may hold.
const LONGEST: usize = 32 * 1024 * 1024;

/// The certificates that an earlier run has stored in `state`; none where there is no file.
///
/// # Errors
/// The file exists and cannot be used; the error is a sentence.
pub fn load(state: &Path) -> Result<SeenIdentities, String> {
    let describe = |what: &str, error: String| {
        format!(
            "{}: {what}: {error}; the record of earlier client certificates is lost",
            state.join(NAME).display()
        )
    };
    match aop_storage::read(state, NAME) {
        Err(error) => Err(describe("cannot be read", error.to_string())),
        Ok(None) => Ok(SeenIdentities::default()),
        Ok(Some(text)) => {
            serde_json::from_slice(&text).map_err(|error| describe("is damaged", error.to_string()))
        }
    }
}

/// Stores `identities` in the directory `state`.
///
/// # Errors
/// The directory or file cannot be written, or the document is too long. The old file stays.
pub(crate) fn save(state: &Path, identities: &SeenIdentities) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(identities)?;
    text.push(b'\n');
    if text.len() > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than any terminator reports",
        ));
    }
    aop_storage::write(state, NAME, &text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aop_api::{SeenIdentity, SiteIdentities, timestamp};

    use super::*;

    fn identities(subject: &str) -> SeenIdentities {
        let identity = SeenIdentity {
            site: "a.test".into(),
            subject: subject.into(),
            issuer: "CN=ca".into(),
            spki_sha256: "00".into(),
            serial: "01".into(),
            not_before: timestamp(1),
            not_after: timestamp(2_000_000_000),
            level: aop_api::IdentityLevel::Own,
            client_ca: Some("/ca.pem".into()),
            first_seen: timestamp(10),
            last_seen: timestamp(20),
            pulls: 3,
            roll: None,
        };
        let site =
            SiteIdentities { site: "a.test".into(), identities: vec![identity], forgotten: 5 };
        SeenIdentities { sites: vec![site] }
    }

    #[test]
    fn stored_identities_are_loaded_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("deep/state");
        assert_eq!(load(&state), Ok(SeenIdentities::default()));
        let kept = identities("CN=edge");
        save(&state, &kept).expect("saved");
        assert_eq!(load(&state), Ok(kept.clone()));
        save(&state, &identities(&"x".repeat(LONGEST))).expect_err("too long");
        assert_eq!(load(&state), Ok(kept), "the old file is gone");
    }

    #[test]
    fn a_file_truncated_anywhere_is_refused_by_name() {
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
