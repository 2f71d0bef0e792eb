//! Replays the fuzzer's kept inputs: those that once broke the policy, and those that it starts
//! from.

use std::{fs, path::Path};

use aop_packets::oracle;

#[test]
fn every_kept_input_of_the_fuzzer_gets_the_verdict_that_its_reading_demands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions/policy");
    let files = fs::read_dir(&folder).expect("the folder is there");
    let inputs: Vec<_> = files.flatten().map(|file| fs::read(file.path())).collect();
    assert!(!inputs.is_empty(), "no input in {}", folder.display());
    for input in inputs {
        oracle::check(&input.expect("it can be read"));
    }
}
