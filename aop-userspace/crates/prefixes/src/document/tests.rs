use super::*;

const API: ListFormat = ListFormat::ApiJson(Networks::Global);
const WITH_CHINA: ListFormat = ListFormat::ApiJson(Networks::WithChina);

fn answer(v4: &str, v6: &str) -> String {
    format!(
        r#"{{"result":{{"ipv4_cidrs":{v4},"ipv6_cidrs":{v6},"jdcloud_cidrs":["198.51.100.0/24"],
            "etag":"e1"}},"success":true,"errors":[],"messages":[],"new":1}}"#
    )
}

#[test]
fn both_formats_give_the_same_list() {
    let json = answer(r#"["192.0.2.0/24"]"#, r#"["2001:db8::/32"]"#);
    let api = parse(&json, API).expect("a list");
    assert_eq!(api.etag.as_deref(), Some("e1"));
    let lines = parse("2001:db8::/32\r\n# ours\n192.0.2.0/24 # here\n", ListFormat::JsonOrLines);
    assert_eq!(lines.expect("a list").prefixes(), api.prefixes());
    assert_eq!(parse(&json, ListFormat::JsonOrLines).expect("a list"), api);
}

#[test]
fn the_china_network_counts_only_if_requested_and_must_then_be_present() {
    let json = answer(r#"["192.0.2.0/24"]"#, "[]");
    let with = parse(&json, WITH_CHINA).expect("a list");
    assert_eq!(
        (with.prefixes().len(), parse(&json, API).expect("a list").prefixes().len()),
        (2, 1)
    );
    let without = json.replace("jdcloud_cidrs", "other");
    assert_eq!(parse(&without, WITH_CHINA), Err(DocumentError::NoJdcloud));
}

#[test]
fn one_bad_line_refuses_the_whole_list_and_is_named() {
    let error = parse("# ours\n192.0.2.0/24\n\n198.51.100.0/33 # typo\n", ListFormat::JsonOrLines);
    assert!(matches!(error, Err(DocumentError::Line { line: 4, .. })), "{error:?}");
}

#[test]
fn other_documents_are_refused() {
    assert_eq!(parse("\n<!DOCTYPE html>", ListFormat::JsonOrLines), Err(DocumentError::Html));
    assert_eq!(parse("<html>", API), Err(DocumentError::Html));
    assert_eq!(parse("# nothing\n", ListFormat::JsonOrLines), Err(DocumentError::Empty));
    assert_eq!(parse(&answer("[]", "[]"), API), Err(DocumentError::Empty));
    let failed = r#"{"success":false,"errors":[{"code":7003,"message":"no"}],"result":null}"#;
    assert!(
        matches!(parse(failed, API), Err(DocumentError::Failed(told)) if told.contains("7003"))
    );
    for text in ["", "192.0.2.0/24", "[]", "{}", r#"{"success":true}"#, &answer("{}", "[]")] {
        let refused = parse(text, API);
        assert!(matches!(refused, Err(DocumentError::Json(_))), "{text}: {refused:?}");
    }
    let cut = answer(r#"["192.0.2.0/24"]"#, "[]");
    assert!(matches!(parse(cut.split_at(60).0, API), Err(DocumentError::Json(_))));
}

#[test]
fn an_entry_must_be_a_prefix_of_its_family() {
    for v4 in [r#"["2001:db8::/32"]"#, r#"["192.0.2.1/24"]"#, r#"["0.0.0.0/0"]"#, r#"["x"]"#] {
        let refused = parse(&answer(v4, "[]"), API);
        assert!(matches!(refused, Err(DocumentError::Entry { .. })), "{v4}: {refused:?}");
    }
}

#[test]
fn text_from_the_network_is_bounded_and_has_no_control_characters() {
    let long = format!("{}\u{1b}[31m", "x".repeat(5000));
    let told = parse(&long, ListFormat::JsonOrLines).expect_err("refused").to_string();
    assert!(told.len() < 500 && !told.contains('\u{1b}'), "{told}");
}
