//! The integration tests of the workspace, from cargo's metadata.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The test targets that need privilege, or the machine of `kernels`.
const PRIVILEGED: [&str; 3] = ["kernel", "e2e", "cards"];

/// The names of the test targets that need no privilege.
pub(crate) fn unprivileged() -> Result<Vec<String>> {
    let mut cargo = command::cargo("metadata");
    let text = command::output(cargo.args(["--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cannot read cargo's metadata")?;
    Ok(tests(&metadata).filter(|name| !PRIVILEGED.contains(name)).map(str::to_owned).collect())
}

fn tests(metadata: &Value) -> impl Iterator<Item = &str> {
    items(metadata, "packages")
        .flat_map(|package| items(package, "targets"))
        .filter(|target| items(target, "kind").any(|kind| kind == "test"))
        .filter_map(|target| target.get("name")?.as_str())
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn only_test_targets_are_listed() {
        let metadata = serde_json::json!({"packages": [
            {"targets": [{"kind": ["lib"], "name": "aop"}, {"kind": ["test"], "name": "config"}]},
            {"targets": [{"kind": ["test"], "name": "kernel"}]},
        ]});
        assert_eq!(tests(&metadata).collect::<Vec<_>>(), ["config", "kernel"]);
    }
}
