//! The user that a process without privilege becomes, where the one that starts it is root.

use nix::{errno::Errno, unistd::User};

use super::Ids;

/// Who it is where the configuration names nobody, if there is such a user.
const OURS: &str = "aop";
/// By convention the user and group of nobody (the kernel's overflow ids).
const NOBODY: u32 = 65534;

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub ids: Ids,
}

/// A user that the terminator cannot become.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none of that name.
    #[error(
        "terminator.user: this host has no user {0:?}; create it \
         (`useradd --system --no-create-home {0}`), or name another"
    )]
    Unknown(String),
    /// It would keep what is to be given up.
    #[error("terminator.user: {0:?} is root, which the terminator must not be; name another")]
    Root(String),
    /// The system does not tell.
    #[error("terminator.user: the system cannot look up {name:?}: {error}")]
    Lookup {
        /// The user.
        name: String,
        /// What it said.
        error: Errno,
    },
}

impl Account {
    /// The `configured` user; without one `aop`, and nobody where this host has no such user.
    pub fn find(configured: Option<&str>) -> Result<Self, AccountError> {
        let name = configured.unwrap_or(OURS);
        let found = User::from_name(name)
            .map_err(|error| AccountError::Lookup { name: name.to_owned(), error })?;
        let ids = match (found, configured) {
            (Some(user), _) => Ids { user: user.uid.as_raw(), group: user.gid.as_raw() },
            (None, None) => Ids { user: NOBODY, group: NOBODY },
            (None, Some(name)) => return Err(AccountError::Unknown(name.to_owned())),
        };
        if ids.user == 0 || ids.group == 0 {
            return Err(AccountError::Root(name.to_owned()));
        }
        Ok(Self { name: name_of(ids.user), ids })
    }
}

/// How this host calls a user.
pub(super) fn name_of(user: u32) -> String {
    match User::from_uid(user.into()) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => user.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_never_root() {
        assert_eq!(Account::find(Some("nobody")).expect("a user").ids.user, NOBODY);
        assert_ne!(Account::find(None).expect("a user").ids.user, 0);
        let root = Account::find(Some("root")).expect_err("refused").to_string();
        assert!(root.contains("must not be"), "{root}");
        let nobody = Account::find(Some("no-such-user")).expect_err("refused").to_string();
        assert!(nobody.contains("useradd --system --no-create-home no-such-user"), "{nobody}");
    }
}
