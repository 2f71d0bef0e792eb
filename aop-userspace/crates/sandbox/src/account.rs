//! The user that a sandboxed process switches to, if root starts it.

use nix::{errno::Errno, unistd::User};

use crate::UserIds;

/// The user if the configuration names none, and this user exists.
const DEFAULT_NAME: &str = "aop";
/// The user and group `nobody`, by convention the kernel's overflow ids.
const NOBODY: u32 = 65534;

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, or its number if it has none.
    pub name: String,
    /// Its user and group.
    pub ids: UserIds,
}

/// A user that the terminator process cannot run as.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no user of that name.
    #[error(
        "terminator.user: this host has no user {0:?}; create it \
         (`useradd --system --no-create-home {0}`), or name another"
    )]
    Unknown(String),
    /// It is root, or in the group root.
    #[error("terminator.user: {0:?} is root, which the terminator must not be; name another user")]
    Root(String),
    /// The lookup fails.
    #[error("terminator.user: the system cannot look up {name:?}: {error}")]
    Lookup {
        /// The user.
        name: String,
        /// The error of the system.
        error: Errno,
    },
}

impl Account {
    /// The `configured` user; without one `aop`, or `nobody` if this host has no user `aop`.
    ///
    /// # Errors
    /// There is no such user, it is root, or the lookup fails.
    pub fn find(configured: Option<&str>) -> Result<Self, AccountError> {
        let name = configured.unwrap_or(DEFAULT_NAME);
        let found = User::from_name(name)
            .map_err(|error| AccountError::Lookup { name: name.to_owned(), error })?;
        let ids = match (found, configured) {
            (Some(user), _) => UserIds { user: user.uid.as_raw(), group: user.gid.as_raw() },
            (None, None) => UserIds { user: NOBODY, group: NOBODY },
            (None, Some(name)) => return Err(AccountError::Unknown(name.to_owned())),
        };
        if ids.user == 0 || ids.group == 0 {
            return Err(AccountError::Root(name.to_owned()));
        }
        Ok(Self { name: name_of(ids.user), ids })
    }
}

/// The name of a user on this host, or its number.
pub(crate) fn name_of(user: u32) -> String {
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
