//! The sections that the object must have and must not have, so that every loader accepts it.

use anyhow::{Context, Result, bail};
use object::{File, Object, ObjectSection};

pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    let file = File::parse(bytes).context("the packet program is not an ELF object")?;
    let names: Vec<_> = file.sections().filter_map(|section| section.name().ok()).collect();
    match complaint(&names) {
        Some(complaint) => bail!("the packet program's object {complaint}"),
        None => Ok(()),
    }
}

fn complaint(names: &[&str]) -> Option<String> {
    let missing =
        [".BTF", ".maps", "license", "xdp.frags"].into_iter().find(|name| !names.contains(name));
    if let Some(name) = missing {
        return Some(format!("has no section `{name}`: the kernel would refuse it"));
    }
    if names.contains(&"maps") {
        let advice = "libbpf 1.0 and bpftool refuse it; declare each map with #[btf_map]";
        return Some(format!("has a legacy section `maps`: {advice}"));
    }
    let debug = names.iter().find(|name| name.contains("debug_"))?;
    Some(format!("still has the section `{debug}`, which the kernel does not need"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 6] = ["", ".text", "xdp.frags", "license", ".maps", ".BTF"];

    fn complaint_with(extra: &str) -> Option<String> {
        complaint(&[&GOOD[..], &[extra]].concat())
    }

    #[test]
    fn an_object_with_only_btf_maps_is_accepted() {
        assert_eq!(complaint(&GOOD), None);
        assert_eq!(complaint_with(".BTF.ext"), None);
    }

    #[test]
    fn a_legacy_map_is_refused() {
        assert!(complaint_with("maps").is_some_and(|text| text.contains("#[btf_map]")));
    }

    #[test]
    fn debug_information_is_refused() {
        assert!(complaint_with(".debug_info").is_some());
        assert!(complaint_with(".rel.debug_info").is_some());
    }

    #[test]
    fn an_object_without_btf_is_refused() {
        assert!(complaint(&GOOD[..5]).is_some_and(|text| text.contains("`.BTF`")));
    }

    #[test]
    fn bytes_that_are_not_an_object_are_refused() {
        assert!(check(b"no object").is_err());
    }
}
