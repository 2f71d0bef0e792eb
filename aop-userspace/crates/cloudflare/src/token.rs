//! Finds the API token: in the file of the configuration, among systemd's credentials, or in the
//! environment. The first of them that is there counts.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use aop_config::CloudflareConfig;
use aop_storage::OpenPath;
use zeroize::Zeroizing;

use crate::ApiToken;

/// The name of systemd's credential.
const CREDENTIAL: &str = "cloudflare-token";
/// The variable of the environment that Cloudflare's own programs read.
const VARIABLE: &str = "CLOUDFLARE_API_TOKEN";
/// More than any token has.
const MAX_LENGTH: u64 = 64 * 1024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// None of the places has one.
    #[error(
        "there is no API token. Write one into a file that only root can read, and name it: \
         [cloudflare] token_file = \"/etc/aop/cloudflare-token\". Or give systemd's credential \
         {CREDENTIAL}, or set {VARIABLE}"
    )]
    Missing,
    /// Other users of this host can read the file.
    #[error(
        "{}: other users of this host can read or change this token (mode {mode:04o}). Run \
         `chmod 600 {}`; if one of them may have read it, roll it in Cloudflare's dashboard",
        .file.display(), .file.display()
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another user can exchange the file.
    #[error("{}: {}", .file.display(), exchange(.by))]
    Exchangeable {
        /// The file.
        file: PathBuf,
        /// The path by which it can be exchanged.
        by: OpenPath,
    },
    /// The file cannot be read.
    #[error("{}: cannot read the API token: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// It is not a token.
    #[error("{place}: {why}")]
    Bad {
        /// The file, or the variable.
        place: String,
        /// The mistake, without the text.
        why: String,
    },
}

/// Finds the token.
///
/// # Errors
/// There is none, or the first one cannot be used.
pub fn find_token(config: &CloudflareConfig) -> Result<ApiToken, TokenError> {
    let directory = env::var_os("CREDENTIALS_DIRECTORY");
    let credential = directory.map(|it| PathBuf::from(it).join(CREDENTIAL));
    let variable = env::var(VARIABLE).ok().map(Zeroizing::new);
    find(config.token_file.as_deref(), credential.as_deref(), variable)
}

/// The place of the token that [`find_token`] takes; `None` if there is none.
#[must_use]
pub fn token_place(config: &CloudflareConfig) -> Option<String> {
    if let Some(file) = &config.token_file {
        return Some(file.display().to_string());
    }
    let directory = env::var_os("CREDENTIALS_DIRECTORY");
    match directory.map(|it| PathBuf::from(it).join(CREDENTIAL)) {
        Some(credential) if credential.exists() => Some(credential.display().to_string()),
        Some(_) | None => env::var_os(VARIABLE).map(|_| VARIABLE.to_owned()),
    }
}

fn find(
    file: Option<&Path>,
    credential: Option<&Path>,
    variable: Option<Zeroizing<String>>,
) -> Result<ApiToken, TokenError> {
    if let Some(file) = file {
        return read(file);
    }
    if let Some(credential) = credential.filter(|path| path.exists()) {
        return read(credential);
    }
    let variable = variable.ok_or(TokenError::Missing)?;
    variable.parse().map_err(|why| TokenError::Bad { place: VARIABLE.to_owned(), why })
}

fn exchange(by: &OpenPath) -> String {
    match by {
        OpenPath::Writable(path) => format!(
            "others can write to {0}, and could exchange this token: `chmod go-w {0}`, or name a \
             file in another directory",
            path.display()
        ),
        OpenPath::OfUser(path, user) => format!(
            "{0} belongs to another user (uid {user}), who could read or exchange this token: \
             `chown root {0}`, or name another file",
            path.display()
        ),
    }
}

fn read(file: &Path) -> Result<ApiToken, TokenError> {
    use std::io::Read as _;
    let unreadable = |error| TokenError::Unreadable { file: file.into(), error };
    let bad =
        |why: &str| TokenError::Bad { place: file.display().to_string(), why: why.to_owned() };
    let opened = fs::File::open(file).map_err(unreadable)?;
    let found = opened.metadata().map_err(unreadable)?;
    // Its group may read it: that of a service manager's credentials, or of a set of operators.
    let mode = found.mode() & 0o7777;
    if mode & 0o027 != 0 {
        return Err(TokenError::Open { file: file.into(), mode });
    }
    if !found.is_file() {
        return Err(bad("it is not a file"));
    }
    if let Some(by) = aop_storage::exchangeable(file).map_err(unreadable)? {
        return Err(TokenError::Exchangeable { file: file.into(), by });
    }
    let length = usize::try_from(found.len().min(MAX_LENGTH)).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(length + 1));
    opened.take(MAX_LENGTH).read_to_end(&mut text).map_err(unreadable)?;
    let text = std::str::from_utf8(&text).map_err(|_| bad("it is not text"))?;
    text.parse().map_err(|why: String| bad(&why))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(directory: &Path, name: &str, text: &[u8], mode: u32) -> PathBuf {
        let file = directory.join(name);
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
        file
    }

    #[test]
    fn the_file_counts_before_the_credential_and_that_before_the_environment() {
        let dir = tempfile::tempdir().expect("a directory");
        let configured = file(dir.path(), "configured", b"one\n", 0o600);
        let credential = file(dir.path(), CREDENTIAL, b"two", 0o440);
        let absent = dir.path().join("absent");
        let token = |file, credential, variable: Option<&str>| {
            let variable = variable.map(|text| Zeroizing::new(text.to_owned()));
            find(file, credential, variable).map(|token| token.expose().to_owned())
        };
        assert_eq!(token(Some(&configured), Some(&credential), Some("x")).expect("it"), "one");
        assert_eq!(token(None, Some(&credential), Some("x")).expect("it"), "two");
        assert_eq!(token(None, Some(&absent), Some("three")).expect("it"), "three");
        let error = token(None, Some(&absent), None).expect_err("none").to_string();
        assert!(error.contains("token_file = ") && error.contains(VARIABLE), "{error}");
        let error = token(Some(&absent), Some(&credential), None).expect_err("none").to_string();
        assert!(error.contains("absent: cannot read the API token"), "{error}");
        let error = token(None, None, Some("ses ame")).expect_err("bad").to_string();
        assert!(error.starts_with(VARIABLE) && !error.contains("ses"), "{error}");
    }

    #[test]
    fn a_token_that_others_can_read_or_change_is_refused_with_chmod() {
        let dir = tempfile::tempdir().expect("a directory");
        for (mode, good) in [(0o600, true), (0o400, true), (0o440, true), (0o640, true)]
            .into_iter()
            .chain([(0o644, false), (0o604, false), (0o602, false), (0o660, false), (0o601, false)])
        {
            let file = file(dir.path(), &format!("{mode:o}"), b"sesame", mode);
            let found = read(&file);
            assert_eq!(found.is_ok(), good, "{mode:o}");
            if let Err(error) = found {
                let cure = format!("(mode {mode:04o}). Run `chmod 600 {}`", file.display());
                assert!(error.to_string().contains(&cure), "{error}");
            }
        }
    }

    #[test]
    fn a_token_in_a_directory_where_others_can_exchange_it_is_refused_with_chmod() {
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).expect("made");
        let token = file(&inner, "token", b"sesame", 0o600);
        for (outer_mode, inner_mode, open) in [
            (0o755, 0o755, None),
            (0o755, 0o770, Some(&inner)),
            (0o755, 0o703, Some(&inner)),
            (0o777, 0o700, Some(&dir.path().to_owned())),
            (0o755, 0o1777, None),
        ] {
            for (directory, mode) in [(dir.path(), outer_mode), (&*inner, inner_mode)] {
                fs::set_permissions(directory, fs::Permissions::from_mode(mode)).expect("set");
            }
            match (read(&token), open) {
                (Ok(_), None) => {}
                (Err(error), Some(open)) => {
                    let cure = format!("exchange this token: `chmod go-w {}`", open.display());
                    assert!(error.to_string().contains(&cure), "{error}");
                }
                (read, _) => panic!("{outer_mode:o} {inner_mode:o}: {}", read.is_ok()),
            }
        }
    }

    #[test]
    fn a_file_that_holds_no_token_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().expect("a directory");
        for (text, why) in [(&b"\xffsesame"[..], "not text"), (b"", "empty"), (b"a b", "one line")]
        {
            let file = file(dir.path(), "token", text, 0o600);
            let error = read(&file).expect_err("bad").to_string();
            assert!(error.contains("/token: ") && error.contains(why), "{error}");
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}
