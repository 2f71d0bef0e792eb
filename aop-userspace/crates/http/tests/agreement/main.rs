//! The engine beside independent readers: httparse, httlib-hpack and h2. `cargo xtask fuzz` runs
//! the same comparisons with the inputs that libFuzzer finds.

#[expect(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "the fuzz targets have the same files, and a panic is how a comparison fails"
)]
mod checks;
mod generate;

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*};

#[test]
fn each_kept_input_of_the_fuzzer_is_read_alike() {
    let replay = |target: &str, check: fn(&[u8])| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/regressions");
        let files = fs::read_dir(folder.join(target)).expect("the folder is there");
        let inputs: Vec<_> = files.flatten().map(|file| fs::read(file.path())).collect();
        assert!(!inputs.is_empty(), "no input for {target}");
        inputs.into_iter().for_each(|input| check(&input.expect("it can be read")));
    };
    replay("http1_request", checks::request::check);
    replay("http1_response", checks::response::check);
    replay("hpack", checks::hpack::check_decoders);
    replay("hpack", checks::hpack::check_encoders);
    replay("http2_connection", checks::http2::check);
    replay("http2_exchange", checks::exchange::check);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(3_000))]

    #[test]
    fn requests_are_those_of_httparse_and_the_rules(bytes in generate::requests()) {
        checks::request::check(&bytes);
    }

    #[test]
    fn responses_are_those_of_httparse_and_the_rules(bytes in generate::responses()) {
        checks::response::check(&bytes);
    }

    #[test]
    fn blocks_are_read_as_httlib_hpack_reads_them(bytes in vec(any::<u8>(), 0..300)) {
        checks::hpack::check_decoders(&bytes);
    }

    #[test]
    fn fields_come_back_through_httlib_hpack(bytes in vec(any::<u8>(), 0..400)) {
        checks::hpack::check_encoders(&bytes);
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn each_stream_of_a_server_begins_once_and_ends_once(bytes in vec(any::<u8>(), 0..500)) {
        checks::http2::check(&bytes);
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn a_client_of_h2_and_this_server_understand_each_other(bytes in vec(any::<u8>(), 0..120)) {
        checks::exchange::check(&bytes);
    }
}
