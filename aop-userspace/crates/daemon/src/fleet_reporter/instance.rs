//! The random number of this host, kept in `paths.state`: it tells two hosts of one name apart, and
//! is the same after a restart and an upgrade.

use std::path::Path;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

const FILE: &str = "fleet-instance";
/// Bytes of the number.
const LENGTH: usize = 16;

/// The number of the host whose state is there; a new one if there is none. The caller keeps
/// changes of the state out.
pub(super) fn of_this_host(state: &Path) -> Result<String, String> {
    let stored = aop_storage::read(state, FILE).ok().flatten();
    let stored = stored.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(instance) = stored.as_deref().map(str::trim).filter(|text| is_instance(text)) {
        return Ok(instance.to_owned());
    }
    let mut random = [0; LENGTH];
    rand::fill(&mut random).map_err(|_| "there are no random numbers".to_owned())?;
    let instance = HEXLOWER.encode(&random);
    aop_storage::write(state, FILE, format!("{instance}\n").as_bytes()).map_err(|error| {
        format!(
            "{}: cannot store {FILE}: {error}; correct paths.state, its permissions or its disk",
            state.display()
        )
    })?;
    Ok(instance)
}

fn is_instance(text: &str) -> bool {
    text.len() == 2 * LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_its_number_and_damage_makes_a_new_one() {
        let state = tempfile::tempdir().expect("a directory");
        let first = of_this_host(state.path()).expect("a number");
        assert!(is_instance(&first));
        assert_eq!(of_this_host(state.path()).expect("the same"), first);
        std::fs::write(state.path().join(FILE), "\u{1b}[31m").expect("written");
        let second = of_this_host(state.path()).expect("a number");
        assert!(is_instance(&second) && second != first);
    }
}
